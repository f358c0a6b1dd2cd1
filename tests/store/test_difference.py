"""What differs between two generations: nothing missed, nothing made up, whatever the size."""

from __future__ import annotations

import json
import random
import tracemalloc

import pytest

from store.difference import difference
from store.errors import IndexMissing, StoreCorrupt, UsageError
from store.files import if_not_held
from store.index import IndexDirectory


def changes_of(path, before, after):
    with difference(IndexDirectory(path), before, after) as found:
        listed = list(found.changes())
    return found, listed


@pytest.fixture
def generations(tmp_path, make_index, jsonl):
    """Makes generation after generation of an index from lists of documents."""

    def make(*generations, **settings):
        for documents in generations:
            make_index(tmp_path / "index", jsonl(tmp_path / "s.jsonl", documents), **settings)
        return tmp_path / "index"

    return make


def test_a_generation_that_is_not_kept_is_refused_and_the_kept_ones_named(generations):
    index = generations([{"id": "a", "text": "one"}])
    with pytest.raises(UsageError, match="generation 7 is not kept; kept: 1"):
        changes_of(index, 1, 7)
    with pytest.raises(UsageError, match="generation 0 is not kept; kept: 1"):
        changes_of(index, 0, 1)


def test_no_index_is_said(tmp_path):
    with pytest.raises(IndexMissing, match="footnote index SOURCE"):
        changes_of(tmp_path / "none", 1, 2)


def test_a_damaged_generation_is_not_compared(generations):
    index = generations([{"id": "a", "text": "one"}], [{"id": "a", "text": "two"}])
    path = IndexDirectory(index).published()[0] / "passages.sqlite"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreCorrupt, match=r"passages.sqlite is damaged: expected sha256"):
        changes_of(index, 1, 2)


def test_every_kind_of_change_is_told_apart(generations):
    one = {"text": "the text", "title": "A title", "url": "https://example.org/", "metadata": {"a": 1}, "access": ["x"]}
    old = [{"id": name, **one} for name in ("access", "gone", "metadata", "same", "text", "title", "url")]
    new = [
        {"id": "access", **one, "access": ["y"]},
        {"id": "metadata", **one, "metadata": {"a": 2}},
        {"id": "new", **one},
        {"id": "same", **one},
        {"id": "text", **one, "text": "other"},
        {"id": "title", **one, "title": "Another"},
        {"id": "url", **one, "url": None},
    ]
    found, listed = changes_of(generations(old, new), 1, 2)

    assert [(one.change, one.id, one.fields) for one in listed] == [
        ("changed", "access", ("access",)),
        ("removed", "gone", ()),
        ("changed", "metadata", ("metadata",)),
        ("added", "new", ()),
        ("changed", "text", ("text",)),
        ("changed", "title", ("title",)),
        ("changed", "url", ("url",)),
    ]
    documents, passages = found.documents, found.passages
    assert (documents.added, documents.changed, documents.removed, documents.same) == (1, 5, 1, 1)
    assert (passages.added, passages.changed, passages.removed, passages.same) == (2, 1, 2, 4)  # the title is embedded


def test_the_other_way_round_is_the_mirror_image(generations):
    index = generations([{"id": "a", "text": "one"}, {"id": "b", "text": "two"}], [{"id": "b", "text": "three"}])
    mirror = {"added": "removed", "removed": "added", "changed": "changed"}
    _, there = changes_of(index, 1, 2)
    _, back = changes_of(index, 2, 1)
    assert [(one.change, one.id, one.added, one.removed) for one in there] == [
        (mirror[one.change], one.id, one.removed, one.added) for one in back
    ]


def test_a_generation_does_not_differ_from_itself(generations):
    found, listed = changes_of(generations([{"id": "a", "text": "one"}]), 1, 1)
    assert listed == []
    assert (found.documents.same, found.passages.same) == (1, 1)


def test_a_document_that_was_only_split_otherwise_is_changed_in_no_field(tmp_path, make_index, jsonl):
    source = jsonl(tmp_path / "s.jsonl", [{"id": "a", "text": "word " * 100}])
    make_index(tmp_path / "index", source)
    make_index(tmp_path / "index", source, passage_tokens=20)
    _, (one,) = changes_of(tmp_path / "index", 1, 2)
    assert (one.change, one.fields) == ("changed", ())
    assert one.added
    assert one.removed


@pytest.mark.parametrize("seed", range(8))
def test_random_generations_differ_as_sets_of_documents_say(seed, generations):
    dice = random.Random(seed)

    def some():
        names = dice.sample([*"abcdefghij", "é", "Z", "東", "😀", "￿"], dice.randrange(1, 12))
        return [{"id": name, "text": f"text {dice.randrange(2)}", "access": dice.choice([[], ["x"]])} for name in names]

    old, new = some(), some()
    if sorted(map(json.dumps, old)) == sorted(map(json.dumps, new)):
        pytest.skip("the same twice")
    found, listed = changes_of(generations(old, new), 1, 2)
    before, after = ({one["id"]: one for one in side} for side in (old, new))
    assert [one.id for one in listed if one.change == "added"] == sorted(after.keys() - before.keys())
    assert [one.id for one in listed if one.change == "removed"] == sorted(before.keys() - after.keys())
    both = sorted(before.keys() & after.keys())
    assert [one.id for one in listed if one.change == "changed"] == [k for k in both if before[k] != after[k]]
    assert found.documents.same == sum(before[key] == after[key] for key in both)


def test_both_generations_are_held_while_they_are_compared(generations):
    index = generations([{"id": "a", "text": "one"}], [{"id": "a", "text": "two"}])
    for generation, folder in enumerate(IndexDirectory(index).published(), 1):
        with difference(IndexDirectory(index), 1, 2), if_not_held(folder / "manifest.json") as free:
            assert not free, generation
        with if_not_held(folder / "manifest.json") as free:
            assert free


def test_memory_does_not_grow_with_the_number_of_documents(generations):
    index = generations(
        [{"id": f"{n:05}", "text": f"text {n}"} for n in range(3000)],
        [{"id": f"{n:05}", "text": f"text {n}"} for n in range(0, 6000, 2)],
    )
    with difference(IndexDirectory(index), 1, 2) as found:
        tracemalloc.start()
        number = sum(1 for _ in found.changes())
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert number == 3000
    assert most < 200_000


def test_generations_of_unlike_making_say_in_what(tmp_path, make_index, jsonl):
    source = jsonl(tmp_path / "s.jsonl", [{"id": "a", "text": "the same text"}])
    make_index(tmp_path / "index", source)
    make_index(tmp_path / "index", source, model="hash:32", language="none")
    with difference(IndexDirectory(tmp_path / "index"), 1, 2) as found:
        assert list(found.changes()) == []
        assert found.unlike.keys() == {"model", "analyzer"}
        assert found.unlike["model"][0].startswith("hash:64 (")
        assert found.unlike["analyzer"][1].endswith(":none")
