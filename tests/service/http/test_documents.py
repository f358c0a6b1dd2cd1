"""Documents by id and version, and the page that a citation links to."""

from __future__ import annotations

import base64
import hashlib
import re
from contextlib import closing
from html import unescape
from urllib.parse import quote

import pytest

from store.document import document_version
from store.index import IndexDirectory


def kind(response) -> tuple[int, str]:
    return response.status_code, response.json()["type"].removeprefix("urn:footnote:problem:")


def document(client, name="docs/install.md", **params):
    return client.get(f"/v1/documents/{quote(name, safe='')}", params=params)


@pytest.mark.parametrize("path", ["docs/install.md", "docs%2Finstall.md", "docs%2finstall.md", "linked%20page"])
def test_a_documents_id_may_be_encoded_or_not(client, path):
    response = client.get(f"/v1/documents/{path}")
    assert response.status_code == 200
    assert set(response.json()) == {"id", "version", "title", "url", "text", "metadata"}
    assert response.json()["id"] == path.replace("%2F", "/").replace("%2f", "/").replace("%20", " ")


@pytest.mark.parametrize("path", ["docs/nope.md", "", "docs", "docs/install.md/", "%00", "%ff", "secret/plan"])
def test_an_unknown_document_and_one_that_may_not_be_read_are_the_same_404(client, path):
    assert kind(client.get(f"/v1/documents/{path}")) == (404, "not-found")


def test_a_version_that_no_snapshot_holds_is_gone(client):
    assert kind(document(client, version="0" * 64)) == (410, "version-gone")
    of_another = document(client, "docs/refunds.md").json()["version"]
    assert kind(document(client, version=of_another)) == (410, "version-gone")


@pytest.mark.parametrize("version", ["", "x", "0" * 63, "G" * 64, "A" * 64])
def test_what_is_no_version_is_a_422(client, version):
    assert kind(document(client, version=version)) == (422, "invalid-request")


def test_an_older_version_is_there_as_long_as_a_kept_snapshot_holds_it(client_over, own_index, until):
    client = client_over(own_index.folder)
    old = document(client).json()
    page = f"/s/{old['version']}/0-9"
    changing = own_index.sources / "docs" / "install.md"
    for number in range(3):
        assert document(client, version=old["version"]).json()["text"] == old["text"]
        assert client.get(page).status_code == 200
        changing.write_text(f"# Install\n\nNumber {number}.\n")
        own_index.rebuild()
        until(lambda wanted=number + 2: client.get("/readyz").json()["generation"] == wanted)
    assert kind(document(client, version=old["version"])) == (410, "version-gone")
    assert kind(client.get(page)) == (410, "version-gone")
    assert document(client).json()["text"] == "# Install\n\nNumber 2.\n"


def test_the_page_marks_exactly_the_span(client):
    found = document(client, "docs/refunds.md").json()
    text = found["text"]
    start = text.index("14 days")
    for span in ((start, start + 7), (0, len(text)), (0, 1), (len(text) - 1, len(text)), (text.index("Z"), len(text))):
        page = client.get(f"/s/{found['version']}/{span[0]}-{span[1]}")
        assert page.status_code == 200
        body = re.search(r'<div class="text" dir="auto">(.*)</div>', page.text, re.DOTALL)[1]
        before, marked, after = re.fullmatch(r'(.*)<mark id="quote">(.*)</mark>(.*)', body, re.DOTALL).groups()
        assert unescape(marked) == text[span[0] : span[1]]
        assert unescape(before + marked + after) == text


def test_the_page_shows_text_and_never_markup_of_a_document(client):
    found = document(client).json()
    page = client.get(f"/s/{found['version']}/0-5").text
    assert "<b>" in found["text"]
    assert "<b>" not in page
    assert "A &lt;b&gt;literal&lt;/b&gt; tag &amp; an ampersand." in page


def test_the_page_names_title_and_section(client):
    found = document(client).json()
    page = client.get(f"/s/{found['version']}/{found['text'].index('prefix')}-{len(found['text'])}").text
    assert "<title>Install</title>" in page
    assert "<h1>Install</h1>" in page
    assert "Install &gt; Linux" in page


def test_the_page_links_to_web_addresses_and_to_nothing_else(client):
    linked = client.get(f"/s/{document(client, 'linked page').json()['version']}/0-3").text
    assert 'href="https://example.org/a?b=1&amp;c=2"' in linked
    odd = document(client, "odd").json()
    assert odd["url"] is None, "an address that does more than lead somewhere is none"
    assert "javascript" not in client.get(f"/s/{odd['version']}/0-3").text


def test_a_source_page_allows_no_script_and_nothing_from_elsewhere(client):
    for path in (f"/s/{document(client).json()['version']}/0-3",):
        response = client.get(path)
        style = re.search(r"<style>(.*)</style>", response.text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        policy = response.headers["content-security-policy"]
        assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")
        assert "unsafe" not in policy
        assert "<script" not in response.text
        assert "style=" not in response.text
        assert 'name="viewport"' in response.text
        assert "prefers-color-scheme: dark" in style


@pytest.mark.parametrize(
    "span", ["0-0", "5-3", "0-100000", "999999-1000000", "0-", "-1-3", "a-b", "1.0-2", "٣-٥", "0-9" * 9]
)
def test_a_span_that_is_not_in_the_document_is_a_404(client, span):
    version = document(client).json()["version"]
    assert kind(client.get(f"/s/{version}/{span}")) == (404, "not-found")
    assert kind(client.get(f"/s/{version}/0-{'9' * 6000}")) == (404, "not-found")


def test_a_source_page_of_no_known_version_is_gone_and_of_no_version_is_not_there(client):
    assert kind(client.get(f"/s/{'0' * 64}/0-3")) == (410, "version-gone")
    assert kind(client.get("/s/nope/0-3")) == (404, "not-found")


def test_a_source_page_is_not_shown_to_who_may_not_read_the_document(client, shared_index):
    version = document_version("The secret plan is called Nightingale.", "", None, {})
    with closing(IndexDirectory(shared_index).open(None)) as snapshot:
        assert version in {one for _, one in snapshot.reader.document_ids()}, "the version that is really there"
    assert kind(client.get(f"/s/{version}/0-3")) == (410, "version-gone")
    assert kind(client.get("/v1/documents/secret/plan", params={"version": version})) == (410, "version-gone")
