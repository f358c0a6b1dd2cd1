"""The page's routes: what is served, under which policy, kept for how long."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "dompurify",
}


def elements(html):
    found = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            found.append((tag, dict(attrs)))

    Reader().feed(html)
    return found


def addresses(html):
    return [given[name] for _, given in elements(html) for name in ("src", "href") if name in given]


def test_the_page_has_no_script_or_style_of_its_own_and_a_policy_that_lets_none_in(client):
    response = client.get("/")
    directives = [one.strip().partition(" ") for one in response.headers["content-security-policy"].split(";")]
    assert {name: value for name, _, value in directives} == POLICY
    assert response.headers["cache-control"] == "no-cache"
    for tag, given in elements(response.text):
        assert "style" not in given
        assert not [name for name in given if name.startswith("on")]
        assert tag != "style"
        assert tag != "script" or "src" in given
    assert re.findall(r"<script[^>]*>(.*?)</script>", response.text, re.DOTALL) == [""] * response.text.count("<script")


def test_every_address_on_the_page_is_its_own_and_relative(client):
    found = addresses(client.get("/").text)
    assert [one for one in found if re.match(r"[a-z]+:|/", one)] == []
    for one in found:
        if not one.startswith("#"):
            assert client.get(one).status_code == 200, one


def test_every_module_is_there_and_imports_nothing_from_elsewhere(client):
    (main,) = [one for one in addresses(client.get("/").text) if one.endswith("main.js")]
    wanted, seen = [main], set()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        response = client.get(name)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/javascript")
        imports = re.findall(r'^import [^"]*from "([^"]+)"', response.text, re.MULTILINE)
        assert all(one.startswith("./") for one in imports)
        wanted += [name.rpartition("/")[0] + one[1:] for one in imports]
    assert len(seen) > 8


def test_files_are_kept_for_ever_under_the_name_of_their_build_only(client):
    (style,) = [one for one in addresses(client.get("/").text) if one.endswith(".css")]
    assert client.get(style).headers["cache-control"] == "public, max-age=31536000, immutable"
    other = client.get("/page/0123456789abcdef/page.css")
    assert (other.status_code, other.headers["cache-control"]) == (200, "no-store")
    assert other.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "name", ["", "x.js", "../http/app.py", "..%2fhttp%2fapp.py", "index.html", "vendor", "vendor/", "%00"]
)
def test_nothing_but_the_page_s_files_is_served(client, name):
    response = client.get(f"/page/0/{name}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_the_libraries_licences_are_served(client):
    (path,) = [one for one in addresses(client.get("/").text) if one.endswith("LICENSES.txt")]
    text = client.get(path).text
    for name in ("dompurify", "markdown-it"):
        assert re.search(rf"^{name} \d", text, re.MULTILINE)


def test_what_the_service_says_of_itself_is_text_on_the_page(client_over, shared_index, tmp_path):
    page = client_over(shared_index, example_question='Is <b> "bold" & free?', guardrail="flagged").get("/").text
    assert 'data-example="Is &lt;b&gt; &quot;bold&quot; &amp; free?"' in page
    assert 'data-guardrail="flagged"' in page
    assert 'data-troubled="false">Generation 1 is served.' in page
    missing = client_over(tmp_path / "<none>").get("/").text
    assert 'data-troubled="true">Not ready' in missing
    assert "<none>" not in missing


def test_the_page_asks_for_feedback_only_where_there_is_a_route_for_it(app_over, shared_index):
    from starlette.testclient import TestClient

    app = app_over(shared_index)
    routes = app.router.routes
    routes[:] = [one for one in routes if getattr(one, "path", None) != "/v1/feedback"]
    with TestClient(app) as client:
        assert 'data-feedback="false"' in client.get("/").text
        app.add_api_route("/v1/feedback", lambda: None, methods=["POST"])
        assert 'data-feedback="true"' in client.get("/").text
