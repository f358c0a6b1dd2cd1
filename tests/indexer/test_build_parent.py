"""What a build takes over from the snapshot before it, and what it never takes over: damage, and what is gone."""

from __future__ import annotations

import json

import pytest

from store.errors import StoreCorrupt
from store.index import IndexDirectory
from store.local import read_manifest


def flip(path, at: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def snapshot_of(index):
    directory = IndexDirectory(index)
    return directory.snapshots / directory.require_current().name


def texts(contents, index) -> dict[str, str]:
    return {one.header.id: one.text for one in contents(index).documents}


class TestDocumentsThatGaveWay:
    def test_one_returns_when_an_added_source_takes_back_what_it_gave_way_to(
        self, tmp_path, make_index, contents, jsonl
    ):
        index = tmp_path / "index"
        a = jsonl(tmp_path / "a.jsonl", [{"id": "x", "text": "from a"}, {"id": "only a", "text": "a"}])
        b = jsonl(tmp_path / "b.jsonl", [{"id": "x", "text": "from b", "access": ["staff"], "metadata": {"n": 1}}])
        make_index(index, a, b)
        assert texts(contents, index) == {"only a": "a", "x": "from a"}
        jsonl(a, [{"id": "only a", "text": "a"}])
        b.unlink()
        make_index(index, a, request={"add": True})
        assert texts(contents, index) == {"only a": "a", "x": "from b"}
        (back,) = [one for one in contents(index).documents if one.header.id == "x"]
        assert (back.header.access, back.header.metadata) == ({"staff"}, {"n": 1})
        assert contents(index).entries("duplicate", "quarantined") == []

    def test_an_equal_one_is_kept_aside_without_its_text_and_returns(self, tmp_path, make_index, contents, jsonl):
        index, same = tmp_path / "index", {"id": "x", "text": "a text of some length" * 100}
        a, b = jsonl(tmp_path / "a.jsonl", [same, {"id": "y", "text": "y"}]), jsonl(tmp_path / "b.jsonl", [same])
        make_index(index, a, b)
        assert (snapshot_of(index) / "gave_way.jsonl").stat().st_size < 300
        jsonl(a, [{"id": "y", "text": "y"}])
        make_index(index, a, request={"add": True})
        assert texts(contents, index) == {"x": same["text"], "y": "y"}
        assert not (snapshot_of(index) / "gave_way.jsonl").exists()

    def test_which_document_is_kept_does_not_depend_on_which_source_came_first(
        self, tmp_path, make_index, contents, jsonl
    ):
        a = jsonl(tmp_path / "a.jsonl", [{"id": "x", "text": "from a"}])
        b = jsonl(tmp_path / "b.jsonl", [{"id": "x", "text": "from b"}])
        make_index(tmp_path / "one", b)
        make_index(tmp_path / "one", a, request={"add": True})
        make_index(tmp_path / "two", a, b)
        assert contents(tmp_path / "one").comparable == contents(tmp_path / "two").comparable
        assert texts(contents, tmp_path / "one") == {"x": "from a"}

    def test_a_snapshot_that_kept_none_aside_is_built_on_all_the_same(self, tmp_path, make_index, contents, jsonl):
        """As older versions of the program made them: files that gave way are read again."""
        index = tmp_path / "index"
        a = jsonl(tmp_path / "a.jsonl", [{"id": "x", "text": "from a"}])
        b = jsonl(tmp_path / "b.jsonl", [{"id": "x", "text": "from b"}, {"id": "y", "text": "y"}])
        make_index(index, a, b)
        directory, folder = IndexDirectory(index), snapshot_of(index)
        manifest = read_manifest(folder)
        (folder / "gave_way.jsonl").unlink()
        with directory.lock(), directory.build_folder() as build:
            for path in folder.iterdir():
                if path.name != "manifest.json":
                    path.rename(build / path.name)
            directory.publish(build, manifest.model_copy(update={"generation": 2}))
        jsonl(a, [{"id": "z", "text": "z"}])
        make_index(index, a, b)
        assert texts(contents, index) == {"x": "from b", "y": "y", "z": "z"}


class TestSourcesOfOneName:
    def test_a_document_that_one_of_them_lost_is_gone(self, tmp_path, make_index, contents, jsonl):
        one = jsonl(tmp_path / "1" / "s.jsonl", [{"id": "a", "text": "a"}, {"id": "b", "text": "b"}])
        two = jsonl(tmp_path / "2" / "s.jsonl", [{"id": "c", "text": "c"}, {"id": "d", "text": "d"}])
        make_index(tmp_path / "index", one, two)
        assert not make_index(tmp_path / "index", one, two).published
        for changed, rest in ((one, {"a", "c", "d"}), (two, {"a", "c"})):
            lines = [json.loads(line) for line in changed.read_text().splitlines()]
            jsonl(changed, lines[:1])
            assert make_index(tmp_path / "index", one, two).published
            assert set(contents(tmp_path / "index").ids) == rest

    def test_add_keeps_what_both_brought(self, tmp_path, make_index, contents, jsonl):
        one = jsonl(tmp_path / "1" / "s.jsonl", [{"id": "a", "text": "a"}])
        two = jsonl(tmp_path / "2" / "s.jsonl", [{"id": "b", "text": "b"}])
        other = jsonl(tmp_path / "other.jsonl", [{"id": "c", "text": "c"}])
        make_index(tmp_path / "index", one, two)
        make_index(tmp_path / "index", other, request={"add": True})
        make_index(tmp_path / "anew", one, two, other)
        assert contents(tmp_path / "index").comparable == contents(tmp_path / "anew").comparable


class TestOtherSettings:
    def test_what_add_keeps_is_split_as_the_manifest_says(self, tmp_path, make_index, contents, jsonl):
        long = " ".join(f"word{number}" for number in range(90))
        a = jsonl(tmp_path / "a.jsonl", [{"id": "a", "text": long}])
        b = jsonl(tmp_path / "b.jsonl", [{"id": "b", "text": long}])
        make_index(tmp_path / "index", a, passage_tokens=100)
        make_index(tmp_path / "index", b, passage_tokens=20, request={"add": True})
        make_index(tmp_path / "anew", a, b, passage_tokens=20)
        assert contents(tmp_path / "index").comparable == contents(tmp_path / "anew").comparable

    def test_other_splitting_needs_no_file_to_be_read_again(
        self, tmp_path, make_index, contents, jsonl, embedded, monkeypatch
    ):
        a = jsonl(tmp_path / "a.jsonl", [{"id": "a", "text": " ".join(f"word{number}" for number in range(90))}])
        make_index(tmp_path / "index", a, passage_tokens=20)
        monkeypatch.setattr("indexer.intake.load", lambda *_, **__: pytest.fail("a file was read"))
        assert make_index(tmp_path / "index", a, passage_tokens=40).published
        monkeypatch.undo()
        make_index(tmp_path / "anew", a, passage_tokens=40)
        assert contents(tmp_path / "index").comparable == contents(tmp_path / "anew").comparable


class TestADamagedParent:
    @pytest.fixture
    def built(self, tmp_path, make_index, jsonl):
        source = jsonl(tmp_path / "s.jsonl", [{"id": f"d{n}", "text": f"text number {n}"} for n in range(5)])
        make_index(tmp_path / "index", source)
        return tmp_path / "index", source

    @pytest.mark.parametrize(
        "name", ["passages.sqlite", "vectors.f32", "vectors.faiss", "ledger.jsonl", "manifest.json"]
    )
    def test_nothing_is_taken_over_from_it_and_the_report_says_so(
        self, built, name, make_index, contents, jsonl, tmp_path
    ):
        index, source = built
        flip(snapshot_of(index) / name, 100)
        jsonl(source, [{"id": f"d{n}", "text": f"text number {n}"} for n in range(1, 6)])
        report = make_index(index, source)
        assert report.generation == 2
        assert any(f"{name} is damaged: expected sha256" in warning for warning in report.warnings)
        make_index(tmp_path / "anew", source)
        assert contents(index).comparable == contents(tmp_path / "anew").comparable

    @pytest.mark.parametrize("name", ["passages.sqlite", "vectors.f32", "ledger.jsonl", "manifest.json"])
    def test_add_is_refused_since_what_it_keeps_is_only_there(self, built, name, make_index, jsonl, tmp_path):
        index, _ = built
        flip(snapshot_of(index) / name, 100)
        with pytest.raises(StoreCorrupt, match=name):
            make_index(index, jsonl(tmp_path / "other.jsonl", [{"id": "x", "text": "x"}]), request={"add": True})
        assert len(IndexDirectory(index).published()) == 1

    @pytest.mark.parametrize("content", [b"", b"../../etc x", b"000001-00000000 " + b"0" * 64])
    def test_a_damaged_current_is_mended_by_indexing_and_no_generation_is_used_twice(
        self, built, content, make_index, contents
    ):
        index, source = built
        (index / "CURRENT").write_bytes(content)
        report = make_index(index, source)
        assert report.generation == 2
        assert any("is damaged: expected" in warning for warning in report.warnings)
        assert len(contents(index).ids) == 5
        assert [path.name[:6] for path in IndexDirectory(index).published()] == ["000001", "000002"]
