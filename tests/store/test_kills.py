"""The real command, killed without warning while it publishes; and what its libraries do to names on the disk."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.reduction import DupFd
from pathlib import Path

import pytest

from store.index import IndexDirectory

PHASES = (b"Building the vector index", b"Verifying and publishing")
REPORT = b"published generation"


def command(arguments: list[str], told: DupFd) -> None:
    """The real command line in a process that was forked from one that has imported everything."""
    descriptor = told.detach()
    os.dup2(descriptor, 2)
    os.dup2(descriptor, 1)
    os.close(descriptor)
    sys.argv = ["footnote", *arguments]
    from footnote.cli import main

    main()


@pytest.fixture(scope="module")
def warm():
    """Forks processes that need not import anything any more."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["footnote.cli", "indexer.build", "store.local", "faiss", "tantivy", __name__])
    os.environ["FOOTNOTE_EMBEDDING_MODEL"] = "hash:8"
    yield context
    del os.environ["FOOTNOTE_EMBEDDING_MODEL"]


def texts(index: Path) -> set[str]:
    """Every document's text in the current snapshot, every byte of it verified."""
    with ThreadPoolExecutor(1) as executor:
        snapshot = IndexDirectory(index).open(executor, full=True)
        try:
            found = {stored.text for stored in snapshot.reader.document()}
            assert len(found) == snapshot.facts.documents
            return found
        finally:
            snapshot.close()


def kill_while_publishing(context, tmp_path: Path, jsonl, kills: int) -> None:
    index, chooser = tmp_path / "index", random.Random(0)
    versions = [[{"id": f"d{n}", "text": f"{word} text {n}"} for n in range(20)] for word in ("first", "second")]
    contents = [{one["text"] for one in version} for version in versions]
    source = tmp_path / "s.jsonl"
    arguments = ["index", str(source), "--index", str(index)]

    def run(kill_after_s: float | None) -> float:
        """One run; how long it took from its publishing phases to its report (calibration, after it, takes longer)."""
        reading, told = os.pipe()
        process = context.Process(target=command, args=(arguments, DupFd(told)))
        process.start()
        os.close(told)
        heard, began, reported = b"", 0.0, 0.0
        while part := os.read(reading, 4096):
            heard += part
            if not reported and REPORT in heard:
                reported = time.perf_counter()
            if not began and any(phase in heard for phase in PHASES):
                began = time.perf_counter()
                if kill_after_s is not None:
                    time.sleep(kill_after_s)
                    with suppress(ProcessLookupError):  # it was quicker
                        os.kill(process.pid, signal.SIGKILL)
        os.close(reading)
        process.join()
        assert kill_after_s is not None or (process.exitcode == 0 and began and reported), heard.decode()
        return reported - began

    lasts_s = 0.0
    for version in versions:  # both are in the cache now
        jsonl(source, version)
        lasts_s = run(None)
    now, outcomes = 1, []
    ever_current = {path.name for path in IndexDirectory(index).published()}
    for number in range(kills):
        other = 1 - now
        jsonl(source, versions[other])
        run(lasts_s * 1.5 * (number + chooser.random()) / kills)
        found = texts(index)
        assert found in (contents[now], contents[other]), f"kill {number}"
        ever_current.add(IndexDirectory(index).require_current().name)
        assert {path.name for path in IndexDirectory(index).published()} <= ever_current, f"kill {number}"
        outcomes.append(found == contents[other])
        if outcomes[-1]:
            now = other
        elif number % 10 == 0:
            run(None)
            assert texts(index) == contents[other]
            ever_current.add(IndexDirectory(index).require_current().name)
            assert [path.name for path in (index / "snapshots").iterdir() if path.name.startswith(".")] == []
            now = other
    old, new = outcomes.count(False), outcomes.count(True)
    print(f"{kills} kills over {lasts_s * 1000:.0f} ms: {old} left the old, {new} the new")
    assert set(outcomes) == {False, True}, "kills came before and after the moment of publishing"


def test_forty_kills_while_publishing_leave_old_or_new_whole(warm, tmp_path, jsonl):
    kill_while_publishing(warm, tmp_path, jsonl, 40)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_six_hundred_kills_while_publishing_leave_old_or_new_whole(warm, tmp_path, jsonl):
    kill_while_publishing(warm, tmp_path, jsonl, 600)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_no_library_renames_or_removes_anything_outside_the_build_folder(tmp_path, jsonl):
    """What the crash model takes for granted. The cache is SQLite's own affair: it is safe to lose."""
    index = tmp_path / "index"
    environment = os.environ | {"FOOTNOTE_EMBEDDING_MODEL": "hash:8"}
    run = [sys.executable, "-m", "footnote", "index", str(tmp_path / "s.jsonl"), "--index", str(index)]
    jsonl(tmp_path / "s.jsonl", [{"id": "d", "text": "the old text"}])
    subprocess.run(run, env=environment, check=True, capture_output=True)
    jsonl(tmp_path / "s.jsonl", [{"id": "d", "text": "the new text"}])
    traced = [
        "strace",
        "-ff",  # a file for each thread: in a common one, a call another thread cuts in on takes two lines
        "-y",
        "-qq",
        "-s",
        "4096",
        "-e",
        "trace=/^(rename|unlink|link|symlink|rmdir|truncate|openat|creat)",
    ]
    subprocess.run([*traced, "-o", str(tmp_path / "trace"), *run], env=environment, check=True, capture_output=True)

    changed, opened = [], set()
    traces = sorted(tmp_path.glob("trace.*"))
    for line in (line for trace in traces for line in trace.read_text().splitlines()):
        opening = re.search(r"\b(?:openat|creat)\(.*O_(?:WRONLY|RDWR|CREAT|TRUNC).*= \d+<([^>]*)>", line)
        if opening is not None and opening.group(1).startswith(str(index)):
            opened.add(opening.group(1).removeprefix(f"{index}/"))
        call = re.search(r"\b(\w+)\((.*)\)\s+= 0", line)
        if call is None:
            continue
        folders = re.findall(r"<([^>]*)>", call.group(2))
        names = re.findall(r'"([^"]*)"', call.group(2))
        paths = [name if name.startswith("/") else f"{folders[0] if folders else ''}/{name}" for name in names]
        if call.group(1).startswith("symlink"):  # what it points at stays as it is
            paths = paths[-1:]
        if any(path.startswith(str(index)) for path in paths):
            changed.append((call.group(1), *(path.removeprefix(f"{index}/") for path in paths)))
    outside = [one for one in changed if not all(re.match(r"snapshots/\.build-\w+/", path) for path in one[1:])]
    kinds = {re.sub(r"[0-9a-f]{6,}(-[0-9a-f]{8})?|\d+(?=\.tmp)", "N", " ".join(one)) for one in outside}
    assert len(changed) > 5, "something was seen"
    written = {name for name in opened if not re.match(r"snapshots/\.build-\w+/", name)}
    assert {re.sub(r"[0-9a-f]{6,}(-[0-9a-f]{8})?|\d+(?=\.tmp)", "N", name) for name in written} == {
        "LOCK",
        "snapshots/.pending-N",
        ".CURRENT.N.tmp",
        "calibration/.N.json.N.tmp",
        "cache/embeddings-N.sqlite",
        "cache/embeddings-N.sqlite-journal",
    }
    assert kinds - {"unlink cache/embeddings-N.sqlite-journal"} == {
        "unlink snapshots/.pending-N",
        "rename snapshots/.build-N snapshots/N",
        "rename .CURRENT.N.tmp CURRENT",
        "rename calibration/.N.json.N.tmp calibration/N.json",
    }
