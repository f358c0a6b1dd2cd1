"""Peak memory of `footnote index`, for growing corpora.

    python -m benchmarks.indexer_memory 10000 50000

writes a JSONL corpus of N one-passage documents (seeded words), indexes it in a process of its own with the model-free
embedder, and prints the peak resident memory beside what the vectors alone take. What grows beyond them is what
streaming fails to bound.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

CHILD = """
import resource, sys
from pathlib import Path
from indexer.build import Request, build
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from store.index import IndexDirectory
index = Path(sys.argv[2])
settings = IndexerSettings(index=index, embedding_model="hash:384")
report = build(IndexDirectory(index), Request([sys.argv[1]]), settings, Silent())
print(report.passages, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def main() -> None:
    sizes = [int(argument) for argument in sys.argv[1:]] or [10_000, 50_000]
    print("passages  peak RSS MB  vectors MB  beyond vectors MB")
    for size in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            corpus = Path(scratch) / "corpus.jsonl"
            write_corpus(corpus, size)
            command = [sys.executable, "-c", CHILD, str(corpus), str(Path(scratch) / "index")]
            passages, peak_kib = map(int, subprocess.check_output(command, text=True).split())
        vectors_mb = passages * 384 * 4 / 1e6
        peak_mb = peak_kib * 1024 / 1e6
        print(f"{passages:8}  {peak_mb:11.0f}  {vectors_mb:10.0f}  {peak_mb - vectors_mb:17.0f}")


def write_corpus(path: Path, size: int) -> None:
    chooser = random.Random(0)
    topics = [[f"word{chooser.randrange(20_000)}" for _ in range(60)] for _ in range(400)]
    with path.open("w") as stream:
        for number in range(size):
            one, other = chooser.choices(topics, k=2)  # like text: passages have neighbours
            text = " ".join(chooser.choices(one, k=80) + chooser.choices(other, k=40))
            stream.write(json.dumps({"id": f"d{number:07}", "title": f"Title {number}", "text": text}) + "\n")


if __name__ == "__main__":
    main()
