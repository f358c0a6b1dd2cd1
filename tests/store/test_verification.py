"""Verifying shows all that is wrong: nothing that is wrong keeps the rest from being looked at."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing

import pytest
from typer.testing import CliRunner

from store.cached import check_cache
from store.errors import StoreCorrupt
from store.index import IndexDirectory


@pytest.fixture
def index(tmp_path, make_index, jsonl) -> IndexDirectory:
    """Generations 1 and 2."""
    for text in ("one", "two"):
        make_index(tmp_path / "index", jsonl(tmp_path / "s.jsonl", [{"id": "d", "text": text}]))
    return IndexDirectory(tmp_path / "index")


def verified(index: IndexDirectory) -> tuple[int, dict[str, str | None]]:
    """The exit code, and what is said to be wrong with what; None where nothing is."""
    from footnote.cli import app

    told = CliRunner().invoke(app, ["verify", "--json", "--index", str(index.path)])
    found = json.loads(told.stdout)["snapshots"]
    return told.exit_code, {one["snapshot"]: one.get("error") for one in found}


def test_a_whole_index_is_whole(index):
    names = [path.name for path in reversed(index.published())]
    assert verified(index) == (0, dict.fromkeys(names))


def test_a_damaged_current_is_told_and_the_snapshots_are_checked_all_the_same(index):
    index.current_file.write_text("damaged")
    old, new = index.published()
    (old / "vectors.f32").write_bytes(b"damaged")
    code, found = verified(index)
    assert code == 1
    assert "CURRENT is damaged" in found["CURRENT"]
    assert "vectors.f32" in found[old.name]
    assert found[new.name] is None


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_something_else_in_the_place_of_an_old_manifest_is_told_and_the_others_are_checked(make, index):
    old, new = index.published()
    (old / "manifest.json").unlink()
    make(old / "manifest.json")
    code, found = verified(index)
    assert code == 1
    assert "manifest.json is damaged" in found[old.name]
    assert found[new.name] is None


@pytest.mark.parametrize("where", ["", "terms"])
@pytest.mark.parametrize("kind", ["a link to a folder", "an empty folder"])
def test_what_the_manifest_does_not_list_is_told_even_where_it_holds_nothing(kind, where, index, tmp_path):
    extra = index.published()[0] / where / "extra"
    if kind == "an empty folder":
        extra.mkdir()
    else:
        extra.symlink_to(tmp_path)
    code, found = verified(index)
    assert code == 1
    assert (
        f"{extra} is damaged: expected no such file in the manifest"
        in found[extra.relative_to(index.snapshots).parts[0]]
    )


def test_damage_to_files_beside_the_snapshots_is_told(index):
    index.rollback(1)
    index.highest_file.write_text("damaged")
    index.forgotten_file.write_text("damaged")
    (cache,) = index.cache.glob("*.sqlite")
    cache.write_bytes(b"damaged" * 100)
    code, found = verified(index)
    assert code == 1
    assert {name for name, error in found.items() if error} == {"HIGHEST", "FORGOTTEN", f"cache/{cache.name}"}
    assert "embedded again" in found[f"cache/{cache.name}"]


class TestCache:
    def test_one_flipped_bit_in_a_vector_or_a_hash_is_found(self, index):
        (path,) = index.cache.glob("*.sqlite")
        check_cache(path)
        with closing(sqlite3.connect(path)) as connection:
            key, vector, _ = connection.execute("SELECT hash, vector, crc FROM embeddings").fetchone()
        data = path.read_bytes()
        for part in (key, vector):
            at = data.index(part) + 3
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            with pytest.raises(StoreCorrupt, match=r"sqlite is damaged.*Remove it"):
                check_cache(path)

    def test_a_writer_at_work_is_no_damage_and_nothing_is_written(self, index):
        (path,) = index.cache.glob("*.sqlite")
        with closing(sqlite3.connect(path)) as writer:
            writer.execute("BEGIN EXCLUSIVE")
            writer.execute("DELETE FROM embeddings")
            check_cache(path)
        data = path.read_bytes()
        check_cache(path)
        assert path.read_bytes() == data

    def test_a_pipe_in_its_place_is_told_at_once(self, index):
        os.mkfifo(index.cache / "embeddings-x.sqlite")
        with pytest.raises(StoreCorrupt, match="expected a readable file"):
            check_cache(index.cache / "embeddings-x.sqlite")
