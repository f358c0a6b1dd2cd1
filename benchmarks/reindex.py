"""What a change costs: one in a hundred of 100,000 passages, with the real model.

    python -m benchmarks.reindex [--passages 100000] [--base data/index] [--shape lines|files]

Passages are made as `benchmarks.scale` makes them, in one JSONL file or in text files of ten passages each. So that
the first build does not take an hour, its embeddings are put into the cache beforehand (with made-up vectors); then one
in a hundred passages is rewritten and `footnote index` runs again, embedding those with the model; the weighing of the
legs that follows is part of both. The time of a full build is the first build's plus what embedding all passages would
take at a rate measured at the end.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.scale import Maker
from evaluation.calibrated import bring_up_to_date
from indexer.build import Request, build
from indexer.cache import EmbeddingCache
from indexer.model import locate, read_space
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from indexer.sources import SourceFile
from indexer.split import Splitter, token_counter
from store.document import make_document
from store.embedding import EmbeddingSpace
from store.index import IndexDirectory

_BLOCK = 20_000
_PER_FILE = 10
CHANGED = 0.01


class Clock(Silent):
    """Remembers when each phase began."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, float]] = []

    def phase(self, name: str, total: int | None = None) -> None:  # noqa: ARG002
        """A new phase."""
        self.phases.append((name, time.perf_counter()))

    def seconds(self) -> dict[str, float]:
        """Seconds of each phase, the last one until now."""
        ends = [*(at for _, at in self.phases[1:]), time.perf_counter()]
        return {name: end - at for (name, at), end in zip(self.phases, ends, strict=True)}


def made_texts(maker: Maker, passages: int) -> list[str]:
    """The texts of so many passages."""
    return [text for at in range(0, passages, _BLOCK) for text in maker.texts(at, min(_BLOCK, passages - at))]


def write(folder: Path, texts: list[str], shape: str) -> None:
    """The source: one JSONL file, or text files of some passages each."""
    if shape == "lines":
        with (folder / "corpus.jsonl").open("w") as stream:
            stream.writelines(json.dumps({"id": f"p{n:07}", "text": text}) + "\n" for n, text in enumerate(texts))
        return
    for at in range(0, len(texts), _PER_FILE):
        place = folder / "files" / f"{at // 1000:04}" / f"{at:07}.txt"
        place.parent.mkdir(parents=True, exist_ok=True)
        text = "\n\n".join(texts[at : at + _PER_FILE])
        if not place.exists() or place.read_text() != text:
            place.write_text(text)


def fill_cache(index: Path, source: Path, space: EmbeddingSpace, maker: Maker) -> None:
    """Made-up vectors for all texts of the source, so that the first build embeds nothing."""
    from indexer.load import load
    from indexer.sources import parse_source, scan

    cache = EmbeddingCache(index / "cache" / f"embeddings-{space.fingerprint}.sqlite", space.dimension)
    splitter = Splitter(token_counter(locate(space.model) / "tokenizer.json"), space.max_tokens - 2)
    hashes: list[bytes] = []
    for item in scan(parse_source(str(source)), (), ()):
        assert isinstance(item, SourceFile)
        for document in load(item):
            hashes.extend(span.embedded_hash for span in splitter.split(document))  # type: ignore[arg-type]
    for at in range(0, len(hashes), _BLOCK):
        part = hashes[at : at + _BLOCK]
        cache.put(part, maker.vectors(at, len(part)))
    cache.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--base", type=Path, default=Path("data/index"), help="a real index to make passages from")
    parser.add_argument("--shape", choices=["lines", "files"], default="lines")
    options = parser.parse_args()
    maker = Maker(options.base)
    texts = made_texts(maker, options.passages)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        index = IndexDirectory(folder / "index")
        settings = IndexerSettings(index=index.path)
        space = read_space(settings.embedding_model, locate(settings.embedding_model))
        write(folder, texts, options.shape)
        source = folder / ("corpus.jsonl" if options.shape == "lines" else "files")
        fill_cache(index.path, source, space, maker)
        first = Clock()
        began = time.perf_counter()
        whole = build(index, Request([str(source)]), settings, first)
        bring_up_to_date(index, Silent())
        first_s = time.perf_counter() - began
        assert whole.embedded == 0

        chooser = np.random.default_rng(5)
        changed = chooser.choice(len(texts) // _PER_FILE, int(len(texts) // _PER_FILE * CHANGED), replace=False)
        for at in changed.tolist():
            for number in range(at * _PER_FILE, (at + 1) * _PER_FILE):
                texts[number] = f"Revised. {texts[number]}"
        write(folder, texts, options.shape)
        second = Clock()
        began = time.perf_counter()
        report = build(index, Request([str(source)]), settings, second)
        second.phase("Carrying the legs' weight over")
        assert bring_up_to_date(index, Silent()).outcome == "carried over"
        second_s = time.perf_counter() - began
        phases = second.seconds()

    per_passage_s = _embedding_s(texts[:512], settings.embedding_model, space)
    full_s = first_s + per_passage_s * report.passages
    print(
        f"{options.shape}: {report.passages:,} passages, {report.embedded:,} embedded again, {report.reused:,} reused"
    )
    print(f"first build without embedding {first_s:6.1f} s; embedding takes {1 / per_passage_s:.1f} passages a second")
    print(f"a full build with embedding   {full_s:6.0f} s (the sum)")
    print(f"the reindex                   {second_s:6.1f} s = {second_s / full_s:.2%} of that; spent on:")
    for name, seconds in phases.items():
        print(f"    {name:<28} {seconds:6.1f} s")


def _embedding_s(texts: list[str], model: str, space: EmbeddingSpace) -> float:
    """Seconds a passage, by the indexer's own embedder, warm."""
    from indexer.embed import SentenceTransformerEmbedder, encode_sorted

    embedder = SentenceTransformerEmbedder(locate(model), space)
    embedder.encode_documents(texts[:32])
    began = time.perf_counter()
    encode_sorted(embedder, [make_document("x", text).text for text in texts], lambda *_: None)
    return (time.perf_counter() - began) / len(texts)


if __name__ == "__main__":
    main()
