"""Is a claim supported by its evidence? The shipped check beside plain measures, on eight sets that people labelled.

    python -m benchmarks.support ../shared/data [--write FOLDER]

Two tables. The first: each set is judged by a head of `footnote train verifier` that was fitted and calibrated,
threshold included, without it: on the seven others and train-support (figures are kept in `--work`). The second: the
scorer that ships, at its own threshold; three of the eight are among what it was trained on. Plain measures get, for
each set, the threshold that is best on the other seven together (each set weighing the same). Sets that are not there
are left out. `--write` keeps them as the files that `footnote evaluate support` reads.
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
from indexer.progress import Progress, watching
from indexer.settings import IndexerSettings
from service.sentences import units
from service.settings import ServiceSettings
from service.support import SupportCheck
from service.verifier import probability
from service.windows import likeliest
from service.wiring import support_of
from store.analyzer import Analyzer
from store.settings import load_settings
from store.text import canonical
from training.rows import source_files, source_name
from training.support import SupportRow, examples_of_support, read_support_rows
from training.support_head import Seen, calibrate, fit, left_out, scores_of
from training.verifier import RIDGE, FigureSource

PARTS = 2
"""Windows of a text that plain measures compare a sentence with."""

TRAINED_ON = ("scifact", "begin-dev", "halueval-qa-a")
"""Of the eight, what the scorer that ships has seen: those whose licence lets weights be made of them."""

MOST = {
    "newwiki-answers": 2500,
    "summedits": 2500,
    "boolq-answers": 1500,
    "mnli-part": 2000,
    "snli-counterfactual": 1500,
    "snli-devtest": 600,
    "help-monotonicity": 300,
    "dnc-function-words": 400,
}
"""Rows taken of train-support's files at most, as of the scorer that ships."""

BY_RULE = ("dnc-function-words", "help-monotonicity")
"""Files of train-support that a head is not fitted on: one word altered by rule, which rules see and figures do not."""

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


def left_out_sets(
    folder: Path, pairs: Mapping[str, Sequence[SupportPair]], work: Path, progress: Progress
) -> dict[str, dict[str, float]]:
    """Of each set, balanced accuracy, AUROC and threshold by a head that never saw it."""
    analyzer = Analyzer()
    figures = FigureSource(work, load_settings(IndexerSettings, index=None))
    trained = {
        source_name(path): examples_of_support(
            read_support_rows(path, MOST.get(source_name(path), 10**9), seed=0), analyzer
        )
        for path in source_files([folder / "train-support"])
    }
    judged = {
        name: examples_of_support([SupportRow(one.claim, one.evidence, float(one.label)) for one in some], analyzer)
        for name, some in pairs.items()
    }
    rarity = figures.rarity(list(trained.values()))
    progress.phase("Taking figures", sum(map(len, (*trained.values(), *judged.values()))))
    seen: dict[str, Seen] = {name: figures.seen(some, rarity, progress) for name, some in {**trained, **judged}.items()}
    found = {}
    for name in pairs:
        others = [one for other, one in seen.items() if other != name and other not in BY_RULE]
        head, calibration = fit(others, RIDGE, rarity), calibrate(left_out(others, RIDGE))
        scores = [probability(score, calibration) for score in scores_of(head, seen[name].figures).tolist()]
        labels = (seen[name].labels > 0).tolist()
        found[name] = {
            "balanced_accuracy": balanced_accuracy(scores, labels, calibration.threshold),
            "auroc": binary_auroc(scores, labels),
            "threshold": calibration.threshold,
        }
    return found


def pairs_of(folder: Path) -> dict[str, list[SupportPair]]:
    """The pairs of the sets that are there."""
    found = {}
    for name, origin in SETS.items():
        if (folder / origin.file).is_file():
            found[name] = [pair for row in read_lines(folder / origin.file) for pair in origin.pairs(row)]
        else:
            print(f"{name} is not there: left out", file=sys.stderr)
    return found


def measure(pairs: Mapping[str, Sequence[SupportPair]]) -> dict[str, dict[str, dict[str, float]]]:
    """Of what ships and of plain measures, by measure and set: balanced accuracy, AUROC, threshold."""
    analyzer = Analyzer()
    checks = {
        "ships": SupportCheck(analyzer, support_of(load_settings(ServiceSettings, index=None))),
        "hard checks": SupportCheck(analyzer, None),
    }
    compared = Compared(analyzer, locate(load_settings(IndexerSettings, index=None).embedding_model))
    scored: dict[str, dict[str, Scored]] = {name: {} for name in (*checks, "words", "cosine", "MaxSim")}
    for name, some in pairs.items():
        labels = [one.label for one in some]
        for title, check in checks.items():
            scored[title][name] = ([check.score(one.claim, one.evidence) for one in some], labels)
        columns = zip(*compared.scores(some), strict=True)
        for title, column in zip(("words", "cosine", "MaxSim"), columns, strict=True):
            scored[title][name] = (list(column), labels)
        print(f"{name}: {len(some):,} pairs", file=sys.stderr)
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


def table(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """A line for each set, and the means."""
    names = list(next(iter(found.values())))
    lines = [f"{'balanced accuracy (AUROC)':26}" + "".join(f"{title:>16}" for title in found)]
    for name in names:
        seen = " (trained on)" if "ships" in found and name in TRAINED_ON else ""
        cells = (f"{one[name]['balanced_accuracy']:.3f} ({one[name]['auroc']:.3f})" for one in found.values())
        lines.append(f"{name + seen:26}" + "".join(f"{cell:>16}" for cell in cells))
    means = [
        [sum(row[name][figure] for name in names) / len(names) for figure in ("balanced_accuracy", "auroc")]
        for row in found.values()
    ]
    cells = (f"{accuracy:.3f} ({auroc:.3f})" for accuracy, auroc in means)
    return [*lines, f"{'mean':26}" + "".join(f"{cell:>16}" for cell in cells)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--write", type=Path, help="a folder to keep the pairs in")
    parser.add_argument("--work", type=Path, default=Path("~/.cache/footnote/training/verifier"))
    asked = parser.parse_args()
    pairs = pairs_of(asked.data)
    if asked.write is not None:
        asked.write.mkdir(parents=True, exist_ok=True)
        for name, some in pairs.items():
            (asked.write / f"{name}.jsonl").write_text("".join(json.dumps(asdict(one)) + "\n" for one in some))
    if (asked.data / "train-support").is_dir():
        with watching() as progress:
            without = left_out_sets(asked.data, pairs, asked.work.expanduser(), progress)
        print("\n".join(table({"left out": without})), end="\n\n", flush=True)
    else:
        print("train-support is not there: no set is judged by a head without it", file=sys.stderr)
    print("\n".join(table(measure(pairs))))


if __name__ == "__main__":
    main()
