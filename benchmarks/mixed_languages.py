"""What it is worth to know a question's language: one index of documents in six languages, asked in each of them.

python -m benchmarks.mixed_languages ../shared/data/xquad

The right document is the one in the question's own language; its translations stand beside it. Whole documents, BM25.
"""

from __future__ import annotations

import gzip
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

from store import analyzer as analyzer_module
from store.analyzer import Analyzer
from store.detection import candidates, detect
from store.language import NONE
from store.terms import TermIndex, TermWriter

LANGUAGES = {"en": "english", "de": "german", "es": "spanish", "ru": "russian", "ar": "arabic", "zh": "english"}
Choice = Callable[[str, Sequence[str]], list[str]]


def read(folder: Path, name: str, language: str) -> list[dict[str, str]]:
    with gzip.open(folder / f"{name}.{language}.jsonl.gz", "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def by_script(question: str, present: Sequence[str]) -> list[str]:
    """All languages of the question's script: no stop word speaks."""
    with mock.patch("store.detection._votes", return_value=mock.Mock(most_common=lambda _: [])):
        return candidates(question, present)


def classified(question: str, present: Sequence[str]) -> list[str]:
    """The language a classifier names, where it is sure and the index has it; else all of the question's script."""
    found = detect("", question + " " * 30)
    fitting = by_script(question, present)
    return [found] if found in fitting and found != NONE else fitting


def main() -> None:
    folder = Path(sys.argv[1])
    documents = [(code, one["_id"], one["text"]) for code in LANGUAGES for one in read(folder, "corpus", code)]
    questions = [(code, one["doc"], one["text"]) for code in LANGUAGES for one in read(folder, "queries", code)]
    row_of = {(code, key): row for row, (code, key, _) in enumerate(documents)}
    detect("", "Lorem ipsum dolor sit amet, consectetur adipiscing elit.")
    for code in LANGUAGES:
        texts = [text for its, _, text in documents if its == code]
        began = time.perf_counter()
        for text in texts:
            detect("", text)
        took_us = (time.perf_counter() - began) / len(texts) * 1e6
        print(f"{code}: {took_us:.0f} microseconds to detect a document's language")
    detecting = Analyzer.for_documents(("", text) for _, _, text in documents)
    print(detecting.name)
    print(f"{'':34} {'  '.join(f'{code:>5}' for code in LANGUAGES)}   mean  terms")
    ways: list[tuple[str, Analyzer, Choice | None]] = [
        ("English for all, as before", Analyzer.from_name("unicode-bigram-1:english"), candidates),
        ("all languages of its script", detecting, by_script),
        ("stop words, else all (shipped)", detecting, candidates),
        ("classifier, else all", detecting, classified),
        ("told its language", detecting, None),
    ]
    for name, made, choice in ways:
        with tempfile.TemporaryDirectory() as place:
            writer = TermWriter(Path(place) / "terms", len(documents))
            for _, _, text in documents:
                writer.add(made.terms(text, made.language_of("", text)))
            writer.finish()
            index = TermIndex(Path(place) / "terms", len(documents))
            gains: dict[str, list[float]] = {code: [] for code in LANGUAGES}
            asked = 0
            for code, key, text in questions:
                told: Choice = choice or (lambda _question, _present, code=code: [LANGUAGES[code]])
                with mock.patch.object(analyzer_module, "candidates", told):
                    terms = made.question_terms(text)
                asked += len(terms)
                ranked = index.search(terms, 10, None)[0].tolist()
                row = row_of[code, key]
                gains[code].append(1 / math.log2(2 + ranked.index(row)) if row in ranked else 0.0)
        means = [sum(one) / len(one) for one in gains.values()]
        shown = "  ".join(f"{value:.3f}" for value in means)
        print(f"{name:34} {shown}  {sum(means) / len(means):.4f}  {asked / len(questions):.1f}")


if __name__ == "__main__":
    main()
