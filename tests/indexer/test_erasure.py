"""Forgetting: nothing of the document is left in any byte below the index, and nothing brings it back."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from footnote.cli import app
from indexer.cache import EmbeddingCache
from indexer.erasure import find, forget, remember
from indexer.progress import Silent
from store.analyzer import Analyzer
from store.archive import export_archive
from store.arrival import import_archive
from store.difference import difference
from store.errors import (
    FootnoteError,
    Forgotten,
    FormatUnsupported,
    IndexLocked,
    IndexMissing,
    SourceError,
    StoreCorrupt,
    UsageError,
    WriteFailed,
)
from store.files import Disk
from store.forgotten import ForgottenIds, read_forgotten, write_forgotten
from store.index import IndexDirectory
from store.local import LocalSnapshot, read_manifest
from store.terms import TermIndex

ID = "Qvexholm/Ångström-77.md"
TITLE = "Zyprindle Title"
WORDS = ["Xylobrandish", "qwertzuiop", "Ærøskøbing", "Mbirakwanza"]
ACCESS, URL, FIELD = "grp-Vlaxmor", "https://example.org/Wombatique", "Kryptonova"
OLD_WORD = "Oldversionword"
TRACES = [ID, TITLE, *WORDS, ACCESS, URL, FIELD, OLD_WORD, "xylobrandish", "mbirakwanza", "zyprindl", "oldversionword"]
OTHERS = [{"id": f"other{n}", "text": f"Another text, number {n}. " * 40, "title": f"Other {n}"} for n in range(12)]


def person(**changes):
    text = f"{' '.join(WORDS)} lives here. " * 60
    return {"id": ID, "title": TITLE, "text": text, "url": URL, "metadata": {"k": FIELD}, "access": [ACCESS], **changes}


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def traces_below(folder: Path, rows: list[bytes] = ()) -> set[str]:
    """What of the document can be found in the bytes of any file, or in a file's name."""
    found = set()
    needles = {word: [word.encode(), word.encode("utf-16-le"), ascii(word)[1:-1].encode()] for word in TRACES}
    needles |= {f"row {number}": [row] for number, row in enumerate(rows)}
    for name, data in bytes_below(folder).items():
        found |= {
            what for what, forms in needles.items() if any(form in data or form in name.encode() for form in forms)
        }
    return found


def rows_of(index: IndexDirectory, document_id: str) -> list[bytes]:
    """The bytes of a document's vectors in every kept snapshot."""
    rows = []
    for folder in index.published():
        snapshot = LocalSnapshot(folder, None)
        numbers = snapshot.reader.connection.execute(
            "SELECT p.row FROM passages p JOIN documents d ON d.row = p.document_row WHERE d.id = ?", (document_id,)
        )
        rows += [np.asarray(snapshot._vectors[row], "<f4").tobytes() for (row,) in numbers]
        snapshot.close()
    return rows


def ids(index: IndexDirectory) -> list[str]:
    snapshot = LocalSnapshot(index.snapshots / index.require_current().name, None, full=True)
    try:
        return [key for key, _ in snapshot.reader.document_ids()]
    finally:
        snapshot.close()


@pytest.fixture
def source(tmp_path, jsonl):
    return jsonl(tmp_path / "s.jsonl", [*OTHERS, person()])


@pytest.fixture
def index(tmp_path, make_index, jsonl, source) -> IndexDirectory:
    """Generations 1 (without the document), 2 (an older version of it) and 3, where it also gave way to itself."""
    make_index(tmp_path / "index", jsonl(source, OTHERS))
    make_index(tmp_path / "index", jsonl(source, [*OTHERS, person(text=f"{OLD_WORD} " * 90)]))
    make_index(tmp_path / "index", jsonl(source, [*OTHERS, person(), person(text=f"{OLD_WORD} too"), {"id": ID}]))
    return IndexDirectory(tmp_path / "index")


class Failing(Disk):
    """Its operation number `fails_at` fails; without one they are counted."""

    def __init__(self, where, fails_at=0):
        self.where, self.fails_at, self.done = where, fails_at, 0

    def count(self):
        self.done += 1
        if self.done == self.fails_at:
            raise OSError(5, "Input/output error", str(self.where))


for name in ("mkdir", "write", "rename", "unlink", "fsync"):

    def one(self, *arguments, name=name):
        self.count()
        getattr(Disk, name)(self, *arguments)

    setattr(Failing, name, one)


def stopped_at_every_step(index, tmp_path):
    """Yields after a `forget` that failed at one step or another, the index as it was before for each."""
    shutil.copytree(index.path, tmp_path / "kept")
    counting = Failing(index.path)
    forget(IndexDirectory(index.path, counting), ID, Silent())
    assert counting.done > 20
    for step in sorted({1, 2, 3, counting.done, *range(4, counting.done, counting.done // 10)}):
        shutil.rmtree(index.path)
        shutil.copytree(tmp_path / "kept", index.path)
        with pytest.raises(WriteFailed):
            forget(IndexDirectory(index.path, Failing(index.path, step)), ID, Silent())
        assert len(ids(index)) in (12, 13)
        yield


class TestRefusals:
    def test_no_index_is_said(self, tmp_path):
        with pytest.raises(IndexMissing, match="footnote index SOURCE"):
            forget(IndexDirectory(tmp_path / "none"), ID, Silent())

    def test_another_writer_is_waited_for_by_the_user(self, index):
        with index.lock(), pytest.raises(IndexLocked):
            forget(index, ID, Silent())

    def test_a_damaged_current_snapshot_changes_nothing(self, index):
        path = index.snapshots / index.require_current().name / "vectors.f32"
        path.write_bytes(b"x" * path.stat().st_size)
        before = bytes_below(index.path)
        with pytest.raises(StoreCorrupt, match=r"vectors.f32"):
            forget(index, ID, Silent())
        assert bytes_below(index.path).keys() == before.keys()
        assert not index.forgotten_file.exists()

    def test_one_flipped_bit_in_the_list_is_found_and_nothing_goes_on_without_it(self, index, source, make_index):
        forget(index, ID, Silent())
        whole = index.forgotten_file.read_bytes()
        for at in range(len(whole)):
            spoiled = bytearray(whole)
            spoiled[at] ^= 1 << at % 8
            index.forgotten_file.write_bytes(spoiled)
            with pytest.raises(StoreCorrupt, match=r"FORGOTTEN is damaged.*Put it back from a copy"):
                read_forgotten(index.forgotten_file)
        for length in range(len(whole)):
            index.forgotten_file.write_bytes(whole[:length])
            with pytest.raises(StoreCorrupt, match="FORGOTTEN"):
                read_forgotten(index.forgotten_file)
        with pytest.raises(StoreCorrupt, match="FORGOTTEN"):
            make_index(index.path, source)
        with pytest.raises(StoreCorrupt, match="FORGOTTEN"):
            index.rollback(4)
        with pytest.raises(StoreCorrupt, match="FORGOTTEN"):
            remember(index, ID)

    def test_what_cannot_be_removed_is_said(self, index):
        class Stuck(Disk):
            def remove_tree(self, folder):
                pass

        with pytest.raises(WriteFailed, match="may hold what was to be forgotten"):
            forget(IndexDirectory(index.path, Stuck()), ID, Silent())
        forget(index, ID, Silent())
        assert traces_below(index.path) == set()

    def test_it_can_be_run_again_wherever_it_failed(self, index, tmp_path):
        for _ in stopped_at_every_step(index, tmp_path):
            forget(index, ID, Silent())
            assert traces_below(index.path) == set()
            assert ids(index) == sorted(one["id"] for one in OTHERS)

    def test_the_next_indexing_goes_on_wherever_it_failed(self, index, source, make_index, tmp_path):
        for _ in stopped_at_every_step(index, tmp_path):
            began = read_forgotten(index.forgotten_file).holds(ID)
            make_index(index.path, source)
            assert traces_below(index.path) == (set() if began else traces_below(tmp_path / "kept"))
            assert not (index.path / "FORGETTING").exists() or not began

    def test_a_snapshot_of_a_newer_program_is_not_removed_for_being_unreadable(self, index):
        folder = index.published()[0]
        manifest = json.loads((folder / "manifest.json").read_bytes())
        data = json.dumps(manifest | {"format_version": 2}).encode()
        (folder / "manifest.json").write_bytes(data)
        folder.rename(folder.with_name(f"000001-{hashlib.sha256(data).hexdigest()[:8]}"))
        with pytest.raises(FormatUnsupported, match="format version 2"):
            forget(index, ID, Silent())
        assert len(index.published()) == 3
        assert not index.forgotten_file.exists()


@pytest.fixture
def stopped(index, make_index, source):
    """A `forget` that was stopped after the id was noted, then indexing without that document by another program."""

    class Stops(Disk):
        def make_folder(self, path):
            if path == index.snapshots and index.forgotten_file.exists():
                raise OSError(5, "Input/output error", str(path))
            super().make_folder(path)

    with pytest.raises(WriteFailed):
        forget(IndexDirectory(index.path, Stops()), ID, Silent())
    unfinished = index.path / "FORGETTING"
    unfinished.unlink()
    make_index(index.path, source)
    unfinished.touch()
    assert ID not in ids(index)
    return index


class TestWhatAStoppedRunLeaves:
    def test_it_is_not_exported(self, stopped, tmp_path):
        for generation in (2, 3):
            with pytest.raises(Forgotten):
                export_archive(stopped, tmp_path / "a.tar", generation)
        assert not (tmp_path / "a.tar").exists()
        export_archive(stopped, tmp_path / "a.tar")

    def test_its_old_versions_are_not_shown(self, stopped):
        with_it = LocalSnapshot(stopped.published()[1], None)
        (found,) = with_it.reader.document(id=ID)
        with_it.close()
        version = found.header.version
        assert stopped.kept_document(version=version, principals=frozenset({ACCESS})) is None
        assert stopped.kept_document(version=version, id=ID, principals=frozenset({ACCESS})) is None

    def test_verify_says_which_snapshots_hold_it_and_what_to_do(self, stopped):
        done = CliRunner().invoke(app, ["verify", "--index", str(stopped.path)])
        assert done.exit_code == 1
        assert done.stdout.count(f"holds '{ID}', which was forgotten: run `footnote forget {ID}` again") == 2

    def test_the_next_indexing_erases_it(self, stopped, make_index, source):
        report = make_index(stopped.path, source)
        assert [name[:6] for name in report.removed] == ["000002", "000003"]
        assert traces_below(stopped.path) == set()


class TestRenamed:
    @pytest.fixture
    def renamed(self, tmp_path, make_index, jsonl):
        """A document that is `before` in generation 1 and `after` in 2."""
        copy = {"id": "copy", "text": "Wolverines everywhere."}
        source = jsonl(tmp_path / "s.jsonl", [{**copy, "id": "before"}, {"id": "other", "text": "Else."}])
        make_index(tmp_path / "index", source)
        make_index(tmp_path / "index", jsonl(source, [{**copy, "id": "after"}, {"id": "other", "text": "Else."}]))
        return IndexDirectory(tmp_path / "index")

    def test_it_is_erased_and_refused_under_its_former_name_too(self, renamed, make_index, jsonl, tmp_path):
        assert find(renamed, "after").former == ["before"]
        done = forget(renamed, "after", Silent())
        assert [name[:6] for name in done.removed] == ["000001", "000002"]
        assert not any(b"Wolverines" in data for data in bytes_below(renamed.path).values())
        source = jsonl(tmp_path / "s.jsonl", [{"id": "before", "text": "Back"}, {"id": "other", "text": "Else."}])
        assert make_index(renamed.path, source).outcomes == {"indexed": 1, "quarantined": 1}

    def test_a_copy_that_is_still_there_is_a_document_of_its_own(self, renamed, make_index, jsonl, tmp_path):
        text = "Wolverines everywhere."
        source = jsonl(tmp_path / "s.jsonl", [{"id": "after", "text": text}, {"id": "copy", "text": text}])
        make_index(renamed.path, source)
        found = find(renamed, "after")
        assert (found.former, found.copies) == (["before"], ["copy"])
        forget(renamed, "after", Silent())
        assert ids(renamed) == ["copy"]


class TestErasure:
    def test_no_byte_below_the_index_is_left_of_it(self, index):
        rows = rows_of(index, ID)
        (index.snapshots / ".build-stray").mkdir()
        (index.snapshots / ".build-stray" / "passages.sqlite").write_text(WORDS[0])
        (index.snapshots / ".removed-stray").mkdir()
        (index.snapshots / ".removed-stray" / "ledger.jsonl").write_text(ID)
        (index.cache / "embeddings-x.sqlite-journal").write_bytes(rows[0])
        before = traces_below(index.path, rows)
        assert before >= {ID, TITLE, *WORDS, ACCESS, URL, FIELD, OLD_WORD, *(f"row {n}" for n in range(len(rows)))}
        assert len(set(rows)) >= 3

        done = forget(index, ID, Silent())

        assert traces_below(index.path, rows) == set()
        assert [name[:6] for name in done.removed] == ["000002", "000003"]
        assert done.published is not None
        assert [path.name[:6] for path in index.published()] == ["000001", "000004"]
        assert done.embeddings >= 3

    def test_its_words_are_no_terms_any_more(self, index):
        terms = set(Analyzer().terms(" ".join([TITLE, *WORDS, OLD_WORD])))

        def known():
            folder = index.snapshots / index.require_current().name
            opened = TermIndex(folder / "terms", read_manifest(folder).counts.passages)
            return {term for term in terms if opened._searcher.doc_freq("terms", term)}

        assert len(known()) >= 5
        forget(index, ID, Silent())
        assert known() <= set(Analyzer().terms("Title"))

    def test_all_else_is_as_it_was_and_nothing_is_embedded_for_it(self, index, source, make_index, jsonl, contents):
        before = contents(index.path)
        forget(index, ID, Silent())
        after = contents(index.path)
        assert after.ids == [key for key in before.ids if key != ID]
        others = [one for one in before.documents if one.header.id != ID]
        assert after.documents == others
        with difference(index, 1, 4) as found:
            assert list(found.changes()) == []
        again = make_index(index.path, jsonl(source, OTHERS))
        assert again.embedded == 0

    def test_the_result_equals_an_index_that_never_had_it(self, index, source, make_index, jsonl, contents, tmp_path):
        forget(index, ID, Silent())
        make_index(index.path, jsonl(source, OTHERS))
        make_index(tmp_path / "fresh", source)
        ours, fresh = contents(index.path), contents(tmp_path / "fresh")
        assert (ours.documents, ours.passages, ours.vectors) == (fresh.documents, fresh.passages, fresh.vectors)

    def test_documents_of_other_files_that_gave_way_stay(self, tmp_path, make_index, jsonl, contents):
        first = jsonl(tmp_path / "a.jsonl", [{"id": "x", "text": "kept"}, person()])
        second = jsonl(tmp_path / "b.jsonl", [{"id": "x", "text": "gave way"}, person(text="gave way too")])
        make_index(tmp_path / "index", first, second)
        index = IndexDirectory(tmp_path / "index")
        forget(index, ID, Silent())
        assert traces_below(index.path) == set()
        assert [(e.document_id, e.outcome) for e in contents(index.path).entries()] == [
            ("x", "indexed"),
            ("x", "quarantined"),
        ]
        back = make_index(index.path, jsonl(first, [{"id": "y", "text": "new"}]), request={"add": True})
        assert back.documents == 2
        assert [one.text for one in contents(index.path).documents] == ["gave way", "new"]

    def test_a_vector_that_another_document_has_too_stays_in_the_cache(self, tmp_path, make_index, jsonl):
        source = jsonl(tmp_path / "s.jsonl", [{"id": ID, "text": "the same"}, {"id": "twin", "text": "the same"}])
        make_index(tmp_path / "index", source)
        done = forget(IndexDirectory(tmp_path / "index"), ID, Silent())
        (path,) = (tmp_path / "index" / "cache").iterdir()
        assert done.embeddings == 0
        assert sqlite3.connect(path).execute("SELECT count(*) FROM embeddings").fetchone() == (1,)

    def test_an_id_that_ends_in_it_is_another_document(self, tmp_path, make_index, jsonl):
        names = ["d", "x#d", "d#x", "dd", "D"]
        make_index(tmp_path / "index", jsonl(tmp_path / "s.jsonl", [{"id": key, "text": key} for key in names]))
        index = IndexDirectory(tmp_path / "index")
        forget(index, "d", Silent())
        assert ids(index) == sorted(names[1:])
        assert find(index, "d").holding == []

    def test_the_only_document_can_be_forgotten(self, tmp_path, make_index, jsonl):
        make_index(tmp_path / "index", jsonl(tmp_path / "s.jsonl", [person()]))
        index = IndexDirectory(tmp_path / "index")
        forget(index, ID, Silent())
        assert ids(index) == []
        assert traces_below(index.path) == set()

    def test_a_document_that_only_an_older_generation_holds_is_forgotten_there(self, index, make_index, jsonl, source):
        make_index(index.path, jsonl(source, OTHERS), keep_generations=9)
        current = index.require_current()
        done = forget(index, ID, Silent())
        assert done.published is None
        assert index.require_current() == current
        assert [path.name[:6] for path in index.published()] == ["000001", "000004"]
        assert traces_below(index.path) == set()

    def test_a_damaged_older_snapshot_may_hold_it_and_goes_too(self, index):
        path = index.published()[0] / "passages.sqlite"
        path.write_bytes(path.read_bytes()[:-1])
        assert find(index, ID).damaged == [index.published()[0].name]
        forget(index, ID, Silent())
        assert [folder.name[:6] for folder in index.published()] == ["000004"]

    def test_a_file_s_document_leaves_neither_name_nor_checksum(self, tmp_path, make_index):
        folder = tmp_path / "Qvexholm"
        folder.mkdir()
        (folder / "Ångström-77.md").write_text(f"# {TITLE}\n\n{' '.join(WORDS)}")
        (folder / "plain.txt").write_text("Something else.")
        make_index(tmp_path / "index", folder)
        index = IndexDirectory(tmp_path / "index")
        forget(index, ID, Silent())
        assert traces_below(index.path) == set()
        assert not [name for name, data in bytes_below(index.path).items() if "Ångström".encode() in data]
        again = make_index(index.path, folder)  # it still lies in the source
        assert again.outcomes == {"indexed": 1, "quarantined": 1}
        assert not [name for name, data in bytes_below(index.path).items() if "Ångström".encode() in data]
        assert make_index(index.path, folder).published is False

    def test_readers_are_waited_for_but_not_for_ever(self, index):
        held = LocalSnapshot(index.snapshots / index.require_current().name, None)
        threading.Timer(0.4, held.close).start()
        began = time.monotonic()
        forget(index, ID, Silent())
        assert 0.3 < time.monotonic() - began < 5

    def test_a_reader_that_does_not_let_go_reads_on_though_the_snapshot_is_gone(self, index):
        held = LocalSnapshot(index.snapshots / index.require_current().name, None)
        forget(index, ID, Silent(), readers_s=0.1)
        assert traces_below(index.path) == set()
        assert ID in [key for key, _ in held.reader.document_ids()]
        held.close()

    def test_a_running_service_follows(self, index):
        from service.settings import ServiceSettings
        from service.wiring import Service

        service = Service(ServiceSettings(index=index.path))
        try:
            service.reload()
            stop = threading.Event()

            def poll():
                while not stop.wait(0.05):
                    service.reload()

            poller = threading.Thread(target=poll)
            poller.start()
            forget(index, ID, Silent())
            stop.set()
            poller.join()
            assert service.holder.generation == 4
        finally:
            service.close()

    def test_the_list_holds_no_id_and_equal_ids_have_other_hashes_elsewhere(self, tmp_path):
        one, two = ForgottenIds().with_id(ID), ForgottenIds().with_id(ID)
        assert one.holds(ID)
        assert not one.holds("other")
        assert not one.holds(None)
        assert one.hashes != two.hashes
        assert one.without_id(ID).hashes == frozenset()
        write_forgotten(tmp_path / "FORGOTTEN", one, Disk())
        assert read_forgotten(tmp_path / "FORGOTTEN") == one
        assert ID.encode() not in (tmp_path / "FORGOTTEN").read_bytes()


class TestComingBack:
    def test_indexing_its_source_sets_it_aside_and_the_report_names_it(self, index, source, make_index, contents):
        forget(index, ID, Silent())
        report = make_index(index.path, source)
        assert ID not in ids(index)
        assert report.outcomes["quarantined"] >= 1
        (problem, *_) = [one for one in report.problems if one.reason == "forgotten"]
        assert ID in problem.input
        assert "footnote forget --undo" in problem.message
        assert traces_below(index.path) == set()
        (entry, *_) = [one for one in contents(index.path).entries("quarantined") if one.reason == "forgotten"]
        assert entry.input.startswith("forgotten-")
        again = make_index(index.path, source)
        assert (again.published, again.outcomes) == (False, report.outcomes)

    def test_a_document_that_was_never_here_can_be_refused_beforehand(self, tmp_path, make_index, jsonl):
        source = jsonl(tmp_path / "s.jsonl", OTHERS)
        make_index(tmp_path / "index", source)
        index = IndexDirectory(tmp_path / "index")
        done = forget(index, ID, Silent())
        assert (done.published, done.removed) == (None, [])
        make_index(index.path, jsonl(source, [*OTHERS, person()]))
        assert ID not in ids(index)

    def test_a_source_with_nothing_else_left_is_refused_in_words(self, tmp_path, make_index, jsonl):
        source = jsonl(tmp_path / "s.jsonl", [person()])
        make_index(tmp_path / "index", source)
        forget(IndexDirectory(tmp_path / "index"), ID, Silent())
        with pytest.raises(SourceError, match="was forgotten"):
            make_index(tmp_path / "index", source)

    def test_a_source_that_only_has_what_was_forgotten_is_not_taken_for_unmounted(self, tmp_path, make_index, jsonl):
        first, second = jsonl(tmp_path / "a.jsonl", OTHERS), jsonl(tmp_path / "b.jsonl", [{"id": "b", "text": "b"}])
        make_index(tmp_path / "index", first, second)
        index = IndexDirectory(tmp_path / "index")
        forget(index, ID, Silent())
        make_index(index.path, first, jsonl(second, [person()]))
        assert ids(index) == sorted(one["id"] for one in OTHERS)
        second.write_text("")
        make_index(index.path, first, second)

    def test_keeping_other_sources_does_not_bring_it_back(self, tmp_path, make_index, jsonl):
        folder = tmp_path / "Qvexholm"
        folder.mkdir()
        (folder / "Ångström-77.md").write_text(f"# {TITLE}\n\n{' '.join(WORDS)}")
        lines = jsonl(tmp_path / "s.jsonl", [*OTHERS, person(id="y")])
        make_index(tmp_path / "index", folder, lines)
        index = IndexDirectory(tmp_path / "index")
        forget(index, ID, Silent())
        forget(index, "y", Silent())
        make_index(index.path, jsonl(tmp_path / "n.jsonl", [{"id": "new", "text": "new"}]), request={"add": True})
        assert ids(index) == sorted(["new", *(one["id"] for one in OTHERS)])
        assert traces_below(index.path) == set()

    def test_undo_lets_it_come_back_with_the_next_run_and_not_before(self, index, source, make_index, tmp_path):
        forget(index, ID, Silent())
        make_index(index.path, source)
        assert remember(index, ID)
        assert not remember(index, ID)
        assert ID not in ids(index)
        report = make_index(index.path, source)
        assert ID in ids(index)
        assert report.embedded >= 1

    def test_undo_lets_a_file_come_back(self, tmp_path, make_index):
        folder = tmp_path / "Qvexholm"
        folder.mkdir()
        (folder / "Ångström-77.md").write_text("back again")
        (folder / "plain.txt").write_text("Something else.")
        index = IndexDirectory(tmp_path / "index")
        make_index(index.path, folder)
        forget(index, ID, Silent())
        make_index(index.path, folder)
        remember(index, ID)
        make_index(index.path, folder)
        assert ids(index) == [ID, "Qvexholm/plain.txt"] or ids(index) == sorted([ID, "Qvexholm/plain.txt"])

    def test_rolling_back_to_a_generation_that_held_it_is_refused(self, index):
        forget(index, ID, Silent())
        for generation in (2, 3):
            with pytest.raises(UsageError, match=f"generation {generation} is not kept; kept: 1, 4"):
                index.rollback(generation)
        index.rollback(1)

    def test_a_generation_put_back_from_a_copy_is_refused_by_name(self, index, tmp_path):
        name = index.published()[1].name
        shutil.copytree(index.snapshots / name, tmp_path / "copy")
        forget(index, ID, Silent())
        shutil.copytree(tmp_path / "copy", index.snapshots / name)
        current = index.require_current()
        with pytest.raises(Forgotten, match=r"generation 2 holds 'Qvexholm/.*footnote forget --undo"):
            index.rollback(2)
        assert index.require_current() == current

    def test_an_archive_that_holds_it_is_refused_by_name_and_nothing_is_left(self, index, tmp_path):
        export_archive(index, tmp_path / "a.tar")
        export_archive(index, tmp_path / "without.tar", 1)
        forget(index, ID, Silent())
        before = bytes_below(index.path)
        with pytest.raises(Forgotten, match=r"a.tar holds 'Qvexholm/.*which was forgotten; nothing was changed"):
            import_archive(index, tmp_path / "a.tar")
        before.pop("LOCK")
        after = bytes_below(index.path)
        after.pop("LOCK")
        assert after == before
        import_archive(index, tmp_path / "without.tar")
        remember(index, ID)
        import_archive(index, tmp_path / "a.tar")
        assert ID in ids(index)

    def test_an_archive_in_which_it_only_gave_way_is_refused_too(self, tmp_path, make_index, jsonl):
        source = jsonl(tmp_path / "s.jsonl", [*OTHERS, {"id": ID}])  # malformed: only the ledger names it
        make_index(tmp_path / "index", source)
        export_archive(IndexDirectory(tmp_path / "index"), tmp_path / "a.tar")
        other = IndexDirectory(tmp_path / "other")
        make_index(other.path, jsonl(tmp_path / "o.jsonl", OTHERS))
        forget(other, ID, Silent())
        with pytest.raises(Forgotten):
            import_archive(other, tmp_path / "a.tar")


class TestCache:
    def test_erased_entries_leave_no_bytes_though_a_run_was_killed_before(self, tmp_path):
        path, rows = tmp_path / "c.sqlite", np.random.default_rng(1).random((3000, 64), np.float32)
        keys = [number.to_bytes(32, "big") for number in range(3000)]
        code = f"""
import os, signal, sqlite3
import numpy as np
from pathlib import Path
from indexer.cache import EmbeddingCache
rows = np.random.default_rng(1).random((3000, 64), np.float32)
cache = EmbeddingCache(Path({str(path)!r}), 64)
cache.put([n.to_bytes(32, "big") for n in range(3000)], rows)
connection = cache._opened()
connection.execute("PRAGMA cache_size = 5")
connection.execute("UPDATE embeddings SET crc = 1")
os.kill(os.getpid(), signal.SIGKILL)
"""
        done = subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ})
        assert done.returncode == -signal.SIGKILL
        assert path.with_name("c.sqlite-journal").exists()
        cache = EmbeddingCache(path, 64)
        removed = cache.keep_only(lambda hashes: {key for key in hashes if key[-1] % 2})
        assert removed == 1500
        assert sorted(cache.get(keys)) == [key for key in keys if key[-1] % 2]
        cache.close()
        below = b"".join(one.read_bytes() for one in tmp_path.iterdir())
        assert rows[1].tobytes() in below
        assert not [number for number in range(0, 3000, 2) if rows[number].tobytes() in below]


@pytest.mark.parametrize("seed", range(12))
def test_after_forgetting_and_indexing_again_the_index_equals_one_built_anew_that_refuses_the_same(
    seed, tmp_path, make_index, contents
):
    dice = random.Random(seed)
    folders = [tmp_path / "one", tmp_path / "two"]
    sources = [*folders, tmp_path / "c.jsonl"]

    def some_lines():
        texts = ["the same text", *(f"text {n} " * dice.choice([1, 200]) for n in range(3))]
        lines = [{"id": f"id{dice.randrange(5)}", "text": dice.choice(texts)} for _ in range(dice.randrange(1, 6))]
        return "".join(json.dumps(one) + "\n" for one in [*lines, {"id": f"id{dice.randrange(5)}"}])

    def edit():
        for folder in folders:
            folder.mkdir(exist_ok=True)
            for name in ("a.md", "b.txt", "c.jsonl", "sub.jsonl"):
                if dice.random() < 0.5:
                    (folder / name).write_text(some_lines() if name.endswith("l") else f"# A {dice.random()}")
            (folder / "always.txt").write_text("always")
        sources[2].write_text(some_lines())

    index = IndexDirectory(tmp_path / "index")
    for _ in range(2):
        edit()
        make_index(index.path, *sources)
    known = [*ids(index), "one/a.md", "id0"]
    for number in range(3):
        forget(index, dice.choice(known), Silent())
        if number == 1:
            edit()
            make_index(index.path, *sources)
    make_index(index.path, *sources)
    if dice.random() < 0.5:
        remember(index, dice.choice(known))
        make_index(index.path, *sources)

    fresh = tmp_path / "fresh"
    fresh.mkdir()
    shutil.copy(index.forgotten_file, fresh)
    make_index(fresh, *sources)
    assert contents(index.path).comparable == contents(fresh).comparable
    assert make_index(index.path, *sources).published is False


def test_forgetting_in_an_index_without_headers_brings_none(tmp_path, make_index, jsonl):
    lines = [{"id": "stay", "title": "Otter", "text": "sleeps"}, {"id": "go", "text": "person"}]
    make_index(tmp_path / "index", jsonl(tmp_path / "s.jsonl", lines), passage_header=False)

    forget(IndexDirectory(tmp_path / "index"), "go", Silent())

    with ThreadPoolExecutor(1) as executor:
        snapshot = IndexDirectory(tmp_path / "index").open(executor)
        found = [asyncio.run(snapshot.lexical(one, 5, None, frozenset())) for one in ("otter", "sleeps", "person")]
        snapshot.close()
    assert [len(hits) for hits in found] == [0, 1, 0]


def test_forgetting_twice_is_harmless(index):
    forget(index, ID, Silent())
    listed = index.forgotten_file.read_bytes()
    again = forget(index, ID, Silent())
    assert (again.published, again.removed, again.embeddings) == (None, [], 0)
    assert index.forgotten_file.read_bytes() == listed
    with pytest.raises(FootnoteError):
        index.rollback(3)
