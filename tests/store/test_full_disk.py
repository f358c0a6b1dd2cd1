"""A disk that takes no more, whichever library is writing: one clear error, nothing published, nothing lost."""

from __future__ import annotations

import resource
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from indexer.build import Request, build
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from store import terms, vectors
from store.errors import UsageError, WriteFailed
from store.files import disk_errors
from store.index import IndexDirectory


@contextmanager
def files_of_at_most(size: int):
    """The kernel refuses to let any file grow beyond this, as a full disk would."""
    unlimited = resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, unlimited))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))


class FullFrom(Silent):
    """A disk that is full from one phase of the build on."""

    def __init__(self, phase: str, size: int) -> None:
        self._phase, self._size = phase, size

    def phase(self, name: str, total: int | None = None) -> None:
        if name == self._phase:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self._size, resource.RLIM_INFINITY))


def documents(word: str) -> list[dict[str, str]]:
    return [
        {"id": f"d{n}", "text": f"{word} {n} " + " ".join(f"{word}{n * m % 97}" for m in range(60))} for n in range(200)
    ]


@pytest.mark.parametrize("size", [0, 100, 5_000, 60_000])
@pytest.mark.parametrize(
    "phase",
    [
        "Looking for files",
        "Reading and splitting",
        "Embedding",
        "Building the vector index",
        "Verifying and publishing",
    ],
)
def test_a_build_that_finds_no_room_says_so_and_loses_nothing(phase, size, tmp_path, jsonl):
    source = jsonl(tmp_path / "s.jsonl", documents("old"))
    settings = IndexerSettings(index=tmp_path / "index", embedding_model="hash:64")
    index = IndexDirectory(settings.index)
    request = Request([str(source)])
    build(index, request, settings, Silent())
    jsonl(source, documents("new"))

    said = "cannot be written: .* What was published before is untouched"
    published = False
    with files_of_at_most(resource.RLIM_INFINITY):  # lifted again, however the build ends
        if size:  # there may be room enough
            with suppress(WriteFailed):
                published = build(index, request, settings, FullFrom(phase, size)).published
        else:
            with pytest.raises(WriteFailed, match=said):
                build(index, request, settings, FullFrom(phase, size))
    assert [path.name for path in index.snapshots.iterdir() if path.name.startswith(".")] == []
    assert index.require_current().generation == 1 + published
    assert build(index, request, settings, Silent()).generation == 2


def test_tantivy_is_understood(tmp_path):
    writer = terms.TermWriter(tmp_path / "terms", 1000)
    for number in range(1000):
        writer.add([f"word{number}"])
    with files_of_at_most(1000), pytest.raises(WriteFailed, match="File too large"), disk_errors(tmp_path):
        writer.finish()


def test_faiss_is_understood(tmp_path):
    rows = np.ones((1000, 16), np.float32)
    with files_of_at_most(1000), pytest.raises(WriteFailed, match="File too large"), disk_errors(tmp_path):
        vectors.build_index(rows, tmp_path / "vectors.faiss")


def test_what_is_no_fault_of_the_disk_passes_through(tmp_path):
    for error in (
        ValueError("a bug"),
        RuntimeError("a bug"),
        FileNotFoundError(2, "gone"),
        PermissionError(13, "x", "/etc"),
    ):
        with pytest.raises(type(error)) as found, disk_errors(tmp_path):
            raise error
        assert found.value is error


def test_an_index_path_that_is_a_file_is_named(tmp_path):
    path = tmp_path / "index"
    path.write_text("not a directory")
    with pytest.raises(UsageError, match="is a file, not an index directory"), IndexDirectory(path).lock():
        pass
