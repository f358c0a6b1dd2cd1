"""What embedding one question takes: each precision, with one thread and with two, and how the vectors differ.

    python -m benchmarks.query_embedding INDEX ../shared/data/scifact [--tokens 12]

asks the set's questions of so many tokens (special ones included; the nearest lengths where there are fewer than 20)
one after another, the configurations in turn.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import get_args

import numpy as np
from tokenizers import Tokenizer

from evaluation.measures import percentile
from evaluation.sets import read_set
from store.embedding import OnnxEncoder, Precision
from store.index import IndexDirectory
from store.local import open_query_encoder, read_manifest

ROUNDS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("set")
    parser.add_argument("--tokens", type=int, default=12)
    arguments = parser.parse_args()
    index = IndexDirectory(arguments.index)
    manifest = read_manifest(index.snapshots / index.require_current().name)
    (entry,) = manifest.query_encoders
    tokenizer = Tokenizer.from_file(str(index.encoders / str(entry.folder) / "tokenizer.json"))
    tokenizer.no_padding()
    texts = [one.text for one in read_set(arguments.set).judged]
    lengths = {text: len(tokenizer.encode(text).ids) for text in texts}
    chosen = sorted(texts, key=lambda text: abs(lengths[text] - arguments.tokens))[:20]
    encoders = {
        (precision, threads): open_query_encoder(index.path, manifest, threads=threads, precisions=[precision])
        for precision in get_args(Precision)
        for threads in (1, 2)
    }
    took_ms: dict[tuple[str, int], list[float]] = {name: [] for name in encoders}
    for turn in range(ROUNDS + 1):
        for name, encoder in encoders.items():
            assert isinstance(encoder, OnnxEncoder)
            for text in chosen:
                began = time.perf_counter()
                encoder.encode_queries([text])
                if turn:  # the first round warms
                    took_ms[name].append((time.perf_counter() - began) * 1000)
    lengths_asked = [lengths[text] for text in chosen]
    print(f"{len(chosen)} questions of {min(lengths_asked)} to {max(lengths_asked)} tokens, {ROUNDS} times")
    vectors = {
        precision: np.vstack([encoders[precision, 1].encode_queries([text]) for text in texts])
        for precision in get_args(Precision)
    }
    for (precision, threads), values in took_ms.items():
        cosine = float((vectors[precision] * vectors["fp32"]).sum(axis=1).min())
        print(
            f"{precision}, {threads} thread{'s' * (threads > 1)}: p50 {percentile(values, 50):5.2f} ms"
            f"   p99 {percentile(values, 99):5.2f} ms   least cosine to fp32 {cosine:.5f}"
        )


if __name__ == "__main__":
    main()
