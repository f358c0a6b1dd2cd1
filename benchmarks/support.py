"""Is a claim supported by its evidence? The shipped check beside plain measures, on eight sets that people labelled.

    python -m benchmarks.support ../shared/data [--write FOLDER]

The scorer that ships was trained on none of the eight. Its threshold ships with it; every other measure gets, for each
set, the threshold that is best on the other seven together (each set weighing the same). Sets that are not there are
left out. `--write` keeps them as the files that `footnote evaluate support` reads.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.measures import binary_auroc
from evaluation.sets import read_lines
from evaluation.support import SupportPair, balanced_accuracy
from indexer.model import locate
from indexer.settings import IndexerSettings
from service.sentences import units
from service.settings import ServiceSettings
from service.support import PARTS, SupportCheck
from service.windows import likeliest
from service.wiring import verifier_of
from store.analyzer import Analyzer
from store.settings import load_settings
from store.text import canonical

Tokens = npt.NDArray[np.float32]
"""float32, shape (tokens, dimension), each of unit length."""


def _scifact(row: Mapping[str, Any]) -> Iterator[SupportPair]:
    yield SupportPair(row["claim"], " ".join(row["sentences"]), row["label"] == "SUPPORTED")


def _healthver(row: Mapping[str, Any]) -> Iterator[SupportPair]:
    yield SupportPair(row["claim"], row["evidence"], row["label"] == "Supports")


def _climate_fever(row: Mapping[str, Any]) -> Iterator[SupportPair]:
    for one in row["evidence"]:
        yield SupportPair(row["claim"], one["text"], one["label"] == "SUPPORTS")


def _begin(row: Mapping[str, Any]) -> Iterator[SupportPair]:
    """A generic answer claims nothing that could be attributed."""
    if row["label"] != "Generic":
        yield SupportPair(row["response"], row["knowledge"], row["label"] == "Fully attributable")


def _expertqa(row: Mapping[str, Any]) -> Iterator[SupportPair]:
    """Claims whose evidence text is there and was judged; what supports only a part does not support."""
    for one in row["claims"]:
        evidence = "\n".join(text for text in one["evidence"] if text.strip())
        if evidence and one["support"] in ("Complete", "Partial", "Incomplete", "None"):
            yield SupportPair(one["claim_string"], evidence, one["support"] == "Complete")


def _qags(row: Mapping[str, Any]) -> Iterator[SupportPair]:
    yield SupportPair(row["sentence"], row["article"], bool(row["consistent"]))


def _faithbench(row: Mapping[str, Any]) -> Iterator[SupportPair]:
    yield SupportPair(row["summary"], row["source"], row["worst_label"] in ("Consistent", "Benign"))


def _halueval(row: Mapping[str, Any]) -> Iterator[SupportPair]:
    """A short answer claims nothing without its question."""
    answers = [(row["right_answer"], True), *((one["answer"], False) for one in row["hallucinated_answers"])]
    for answer, right in answers:
        yield SupportPair(f"{row['question']} {answer}", row["knowledge"], right)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a set lies, and how a row of it becomes pairs."""

    file: str
    pairs: Callable[[Mapping[str, Any]], Iterator[SupportPair]]


SETS = {
    "scifact": Origin("scifact/verification.train.jsonl.gz", _scifact),
    "healthver-dev": Origin("healthver-dev/pairs.jsonl.gz", _healthver),
    "climate-fever-a": Origin("climate-fever-a/claims.jsonl.gz", _climate_fever),
    "begin-dev": Origin("begin-dev/responses.jsonl.gz", _begin),
    "expertqa-val": Origin("expertqa-val/answers.jsonl.gz", _expertqa),
    "qags-xsum": Origin("qags-xsum/sentences.jsonl.gz", _qags),
    "faithbench-a": Origin("faithbench-a/samples.jsonl.gz", _faithbench),
    "halueval-qa-a": Origin("halueval-qa-a/qa.jsonl.gz", _halueval),
}


class Compared:
    """Plain measures of a claim and a text: words in common, cosine, and late interaction over token vectors (MaxSim,
    Khattab and Zaharia 2020), by the bundled embedding model; each as the scorer is used: of a text the parts that hold
    most of the claim, of a claim the sentence that is supported least.
    """

    def __init__(self, analyzer: Analyzer, model: Path) -> None:
        from sentence_transformers import SentenceTransformer

        self._analyzer = analyzer
        self._model = SentenceTransformer(str(model), device="cpu")

    def scores(self, pairs: Sequence[SupportPair]) -> list[tuple[float, float, float]]:
        """(words, cosine, MaxSim) of each pair."""
        compared = [self._parts(pair) for pair in pairs]
        tokens = self._tokens({text for one in compared for sentence, parts, _ in one for text in (sentence, *parts)})
        return [_least([_scores(*one, tokens) for one in some]) for some in compared]

    def _parts(self, pair: SupportPair) -> list[tuple[str, list[str], float]]:
        """Each sentence of the claim, the parts of the evidence nearest to it, and the words they share at most."""
        claim, evidence = canonical(pair.claim), canonical(pair.evidence)
        found = []
        for sentence in [claim[one.start : one.end] for one in units(claim)] or [claim]:
            analyzer = self._analyzer.of(sentence)
            wanted = set(analyzer.terms(sentence))
            parts = [evidence[start:end] for start, end in likeliest(wanted, evidence, analyzer, PARTS)]
            if wanted and parts:
                words = max(len(wanted.intersection(analyzer.terms(part))) / len(wanted) for part in parts)
                found.append((sentence, parts, words))
        return found

    def _tokens(self, texts: Collection[str]) -> dict[str, Tokens]:
        ordered = sorted(texts)
        encoded: Any = self._model.encode(ordered, output_value="token_embeddings", show_progress_bar=False)
        found = {}
        for text, tokens in zip(ordered, encoded, strict=True):
            vectors = np.asarray(tokens, np.float32)
            found[text] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return found


def _scores(sentence: str, parts: Sequence[str], words: float, tokens: Mapping[str, Tokens]) -> tuple[float, ...]:
    asked = tokens[sentence]
    cosine = max(float(_mean(asked) @ _mean(tokens[part])) for part in parts)
    late = max(float((asked @ tokens[part].T).max(axis=1).mean()) for part in parts)
    return words, cosine, late


def _least(found: Sequence[tuple[float, ...]]) -> tuple[float, float, float]:
    if not found:
        return 0.0, 0.0, 0.0
    words, cosine, late = (float(min(column)) for column in zip(*found, strict=True))
    return words, cosine, late


def _mean(tokens: Tokens) -> npt.NDArray[np.float32]:
    mean = tokens.mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


Scored = tuple[list[float], list[bool]]


def threshold_of_the_others(name: str, scored: Mapping[str, Scored]) -> float:
    """The threshold of best mean balanced accuracy on all sets but this one."""
    others = [one for other, one in scored.items() if other != name]
    tried = np.unique(np.quantile([score for scores, _ in others for score in scores], np.linspace(0.01, 0.99, 99)))
    return max(
        map(float, tried), key=lambda step: sum(balanced_accuracy(scores, labels, step) for scores, labels in others)
    )


def measure(folder: Path, write: Path | None) -> dict[str, dict[str, dict[str, float]]]:
    """By measure and set: balanced accuracy, AUROC, threshold."""
    analyzer = Analyzer()
    checks = {
        "scorer": SupportCheck(analyzer, verifier_of(load_settings(ServiceSettings, index=None))),
        "hard checks": SupportCheck(analyzer, None),
    }
    compared = Compared(analyzer, locate(load_settings(IndexerSettings, index=None).embedding_model))
    scored: dict[str, dict[str, Scored]] = {name: {} for name in (*checks, "words", "cosine", "MaxSim")}
    for name, origin in SETS.items():
        if not (folder / origin.file).is_file():
            print(f"{name} is not there: left out", file=sys.stderr)
            continue
        pairs = [pair for row in read_lines(folder / origin.file) for pair in origin.pairs(row)]
        labels = [one.label for one in pairs]
        if write is not None:
            lines = (json.dumps(asdict(one)) + "\n" for one in pairs)
            (write / f"{name}.jsonl").write_text("".join(lines))
        for title, check in checks.items():
            scored[title][name] = ([check.score(one.claim, one.evidence) for one in pairs], labels)
        columns = zip(*compared.scores(pairs), strict=True)
        for title, column in zip(("words", "cosine", "MaxSim"), columns, strict=True):
            scored[title][name] = (list(column), labels)
        print(f"{name}: {len(pairs):,} pairs", file=sys.stderr)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for title, by_set in scored.items():
        for name, (scores, labels) in by_set.items():
            own = checks[title].threshold if title in checks else threshold_of_the_others(name, by_set)
            found.setdefault(title, {})[name] = {
                "balanced_accuracy": balanced_accuracy(scores, labels, own),
                "auroc": binary_auroc(scores, labels),
                "threshold": own,
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--write", type=Path, help="a folder to keep the pairs in")
    asked = parser.parse_args()
    if asked.write is not None:
        asked.write.mkdir(parents=True, exist_ok=True)
    found = measure(asked.data, asked.write)
    names = list(next(iter(found.values())))
    print(f"{'balanced accuracy (AUROC)':26}" + "".join(f"{title:>16}" for title in found))
    for name in names:
        cells = (f"{one[name]['balanced_accuracy']:.3f} ({one[name]['auroc']:.3f})" for one in found.values())
        print(f"{name:26}" + "".join(f"{cell:>16}" for cell in cells))
    means = [
        [sum(row[name][figure] for name in names) / len(names) for figure in ("balanced_accuracy", "auroc")]
        for row in found.values()
    ]
    print(f"{'mean':26}" + "".join(f"{f'{accuracy:.3f} ({auroc:.3f})':>16}" for accuracy, auroc in means))


if __name__ == "__main__":
    main()
