"""How much of a bare embedding loop's speed `footnote index` keeps.

    python -m benchmarks.embedding_throughput corpus/pages --files 60

runs, twice and alternating in one process with the model loaded beforehand: SentenceTransformer.encode over the very
texts that indexing embeds (its own batching, nothing else), and a whole `build()` of the same files into an empty index
(read, split, embed, cache, write, publish). Prints texts a second of both and their ratio.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import indexer.tools
from indexer.build import Request, build
from indexer.embed import SentenceTransformerEmbedder
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from store.embedding import Vectors
from store.index import IndexDirectory


class Recording(SentenceTransformerEmbedder):
    """Remembers what it was asked to embed, and shares one loaded model."""

    texts: ClassVar[list[str]] = []
    loaded: ClassVar[Any] = None

    @property
    def model(self) -> Any:
        """The one model."""
        if Recording.loaded is None:
            Recording.loaded = super().model
        return Recording.loaded

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Embed, and remember."""
        Recording.texts.extend(texts)
        return super().encode_documents(texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--files", type=int, default=60)
    given = parser.parse_args()
    indexer.tools.SentenceTransformerEmbedder = Recording  # the class the build constructs
    with tempfile.TemporaryDirectory() as scratch:
        pages = Path(scratch) / "pages"
        pages.mkdir()
        for file in sorted(given.source.iterdir())[:: max(1, len(list(given.source.iterdir())) // given.files)]:
            (pages / file.name).write_bytes(file.read_bytes())
        run_build(pages, Path(scratch) / "warm")  # loads the model, and the encoder's export is not what is measured
        encoders = Path(scratch) / "warm" / "encoders"
        texts = list(Recording.texts)
        bare, whole = [], []
        for number in range(2):
            began = time.perf_counter()
            Recording.loaded.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
            bare.append(len(texts) / (time.perf_counter() - began))
            index = Path(scratch) / f"index{number}"
            index.mkdir()
            (index / "encoders").symlink_to(encoders)
            whole.append(len(texts) / run_build(pages, index))
    print(f"{len(texts)} texts; bare encode {bare} texts/s; footnote index {whole} texts/s")
    print(f"ratio of medians: {statistics.median(whole) / statistics.median(bare):.3f}")


def run_build(pages: Path, index: Path) -> float:
    began = time.perf_counter()
    build(IndexDirectory(index), Request([str(pages)]), IndexerSettings(index=index), Silent())
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
