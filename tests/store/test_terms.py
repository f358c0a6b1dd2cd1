"""The lexical index's files."""

from __future__ import annotations

import threading
from contextlib import suppress

from store.terms import TermWriter


def test_a_lock_file_that_comes_late_is_not_among_the_files(tmp_path):
    """As tantivy's own thread does now and then: here all the time, wherever tantivy was told to write."""
    stop = threading.Event()

    def lock_again_and_again():
        while not stop.is_set():
            for folder in tmp_path.glob("*/.*"):
                with suppress(OSError):
                    (folder / ".tantivy-meta.lock").touch()

    thread = threading.Thread(target=lock_again_and_again)
    thread.start()
    try:
        for number in range(10):
            build = tmp_path / str(number)
            build.mkdir()
            writer = TermWriter(build / "terms", 10)
            writer.add(["word"])
            writer.finish()
    finally:
        stop.set()
        thread.join()
    assert list(tmp_path.rglob("*.lock")) == []
    assert [path.name for path in sorted(tmp_path.iterdir())] == [str(number) for number in range(10)]
    assert all([path.name for path in build.iterdir()] == ["terms"] for build in tmp_path.iterdir())
