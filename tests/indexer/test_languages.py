"""Languages of an index: what its documents decide, and that how it came to be does not."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from indexer.erasure import forget
from indexer.progress import Silent
from store.analyzer import Analyzer
from store.errors import UsageError
from store.index import IndexDirectory

GERMAN = {"id": "de", "text": "Das ist die Geschichte der alten Häuser in der Stadt und nicht der Straßen."}
ENGLISH = {"id": "en", "text": "This is the history of the old houses in the city, and not of its streets."}
RUSSIAN = {"id": "ru", "text": "Это история старых домов города, а не улиц, и она была написана давно."}
JAPANESE = {"id": "ja", "text": "日本は東アジアに位置する島国である。"}
TABLE = {"id": "table", "text": "| Haus | 12 |\n| Häuser | 13 |"}
ALL = [GERMAN, ENGLISH, RUSSIAN, JAPANESE]


def found(path, question):
    with ThreadPoolExecutor(1) as executor:
        snapshot = IndexDirectory(path).open(executor)
        try:
            hits = asyncio.run(snapshot.lexical(question, 10, None, frozenset()))
            stored = asyncio.run(snapshot.passages([hit.passage_id for hit in hits], frozenset()))
            return [one.document.id for one in stored.values()]
        finally:
            snapshot.close()


def analyzer(contents, path):
    return contents(path).manifest["analyzer"]


def test_an_unknown_language_is_refused_and_auto_named(tmp_path, make_index, jsonl):
    with pytest.raises(UsageError, match="klingon") as raised:
        make_index(tmp_path / "index", jsonl(tmp_path / "s.jsonl", ALL), language="klingon")
    assert "auto" in raised.value.fix


def test_each_document_is_found_by_other_forms_of_its_words(tmp_path, make_index, jsonl, contents):
    path = tmp_path / "index"
    make_index(path, jsonl(tmp_path / "s.jsonl", ALL))
    assert analyzer(contents, path) == "unicode-bigram-2:auto:english+german+russian"
    assert found(path, "Wo ist das Haus und die Straße?") == ["de"]
    assert found(path, "house") == ["en"]
    assert found(path, "дом") == ["ru"]
    assert found(path, "東アジア") == ["ja"]


def test_what_tells_no_language_takes_the_commonest(tmp_path, make_index, jsonl, contents):
    path = tmp_path / "index"
    make_index(path, jsonl(tmp_path / "s.jsonl", [GERMAN, TABLE]))
    assert analyzer(contents, path) == "unicode-bigram-2:auto:german"
    assert sorted(found(path, "Hauses")) == ["de", "table"]


@pytest.mark.parametrize("last", [[ENGLISH], [GERMAN, TABLE], [RUSSIAN, JAPANESE], ALL])
def test_the_way_to_an_index_leaves_no_language_behind(tmp_path, make_index, jsonl, contents, last):
    source = tmp_path / "s.jsonl"
    for documents in (ALL, [GERMAN, ENGLISH], last):
        make_index(tmp_path / "step-by-step", jsonl(source, documents))
    make_index(tmp_path / "at-once", jsonl(source, last))
    assert contents(tmp_path / "step-by-step").comparable == contents(tmp_path / "at-once").comparable


def test_forgetting_the_only_document_of_a_language_forgets_the_language(tmp_path, make_index, jsonl, contents):
    path = tmp_path / "index"
    make_index(path, jsonl(tmp_path / "s.jsonl", ALL))
    forget(IndexDirectory(path), "ru", Silent())
    assert analyzer(contents, path) == "unicode-bigram-2:auto:english+german"
    assert found(path, "Hauses") == ["de"]


def test_forgetting_in_an_index_made_before_keeps_its_analyzer(tmp_path, make_index, jsonl, contents, monkeypatch):
    path = tmp_path / "index"
    as_before(monkeypatch, make_index, path, jsonl(tmp_path / "s.jsonl", ALL))
    forget(IndexDirectory(path), "ru", Silent())
    assert analyzer(contents, path) == "unicode-bigram-1:english"


def test_an_index_made_before_is_asked_as_before_until_indexed_again(
    tmp_path, make_index, jsonl, contents, embedded, monkeypatch
):
    path, source = tmp_path / "index", jsonl(tmp_path / "s.jsonl", ALL)
    as_before(monkeypatch, make_index, path, source)
    assert analyzer(contents, path) == "unicode-bigram-1:english"
    assert found(path, "Hauses") == []
    texts = len(embedded.texts)
    assert make_index(path, source).published
    assert len(embedded.texts) == texts
    assert found(path, "Hauses") == ["de"]
    assert not make_index(path, source).published


def as_before(monkeypatch, make_index, path, source):
    """An index as the program made it before it knew languages."""
    with monkeypatch.context() as patch:
        patch.setattr("indexer.tools._analyzer", lambda _: Analyzer.from_name("unicode-bigram-1:english"))
        make_index(path, source)
