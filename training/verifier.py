"""The one file that knows how a support scorer is made: read rows, export the encoder, take figures, fit, calibrate."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from evaluation.measures import binary_auroc
from evaluation.sets import read_lines
from evaluation.support import balanced_accuracy
from indexer.model import locate, read_space
from indexer.progress import Progress
from indexer.settings import IndexerSettings
from service.adapters.entailment_model import PAIR, EntailmentModel
from service.adapters.token_encoder import OnnxTokenEncoder
from service.support_features import LAYERS, NAMES
from service.support_scorer import HEAD, NOTHING_SAID, SupportReader, write_head
from service.told_otherwise import conflict_of_meaning
from service.verifier import BUNDLED, CARD, FILES, probability
from service.windows import WINDOW_CHARS
from store.analyzer import Analyzer
from store.errors import UsageError
from store.files import Disk, sha256_file
from training.entailment import ADAPTER, HELD
from training.entailment import CARD as ADAPTER_CARD
from training.examples import Example
from training.rows import source_files, source_name
from training.scorer_export import export_adapted_encoder, export_token_encoder, shorten_names
from training.support import examples_of_support, read_support_rows
from training.support_head import Scored, Seen, calibrate, fit, left_out

RIDGE = 0.06
"""The penalty on squared weights."""

ADAPTER_RANK = 24
"""What is kept of an adapter's rank, so that all files together stay under 25 MB."""

_FIGURES_VERSION = 1  # of how figures are made; another one takes them anew
_THREADS = 2


@dataclass(frozen=True, slots=True)
class VerifierRequest:
    """What to make a support scorer of.

    Args:
        sources: files and folders of training rows.
        rarity_from: files and folders whose evidence tells how rare words are.
        output: the folder to write; must not exist yet.
        work: where the exported encoder and figures are kept, so that a stopped run goes on.
        most: rows taken of a file at most, by its name without .jsonl; of others all.
        adapter: what `footnote train entailment` wrote, its thresholds set on what that held back of `sources`; None:
            the guardrail's scorer is the one that comes with Footnote.
        ridge: the penalty on squared weights.
        seed: of which rows are taken.
    """

    sources: Sequence[Path]
    rarity_from: Sequence[Path]
    output: Path
    work: Path
    most: Mapping[str, int]
    adapter: Path | None = None
    ridge: float = RIDGE
    seed: int = 0


@dataclass(frozen=True, slots=True)
class MadeVerifier:
    """What was made, and what sources say of it that a head did not see.

    Args:
        examples: by source.
        bytes: of all files.
        balanced_accuracy, auroc: means over the sources, each by a head of the others, at the scorer's threshold.
    """

    examples: dict[str, int]
    bytes: int
    balanced_accuracy: float
    auroc: float


class FigureSource:
    """Takes the figures of files of rows, and keeps them.

    Args:
        work: the folder to keep the exported encoder and the figures in.
        settings: name the embedding model.
    """

    def __init__(self, work: Path, settings: IndexerSettings) -> None:
        folder = locate(settings.embedding_model)
        weights = read_space(settings.embedding_model, folder).weights_sha256
        self.encoder = work / f"token-encoder-{weights[:16]}-{'-'.join(map(str, LAYERS))}"
        self._kept = work / "figures"
        if not self.encoder.is_dir():
            export_token_encoder(folder, self.encoder, LAYERS)
        self._sha256 = sha256_file(self.encoder / "model.onnx")
        self._analyzer = Analyzer()
        self._model = OnnxTokenEncoder(self.encoder, threads=_THREADS)

    def rarity(self, rows: Sequence[Sequence[Example]]) -> npt.NDArray[np.float32]:
        """float32, shape (vocabulary,): of each word piece, log((texts + 1) / (texts that have it + 1))."""
        tokenizer = Tokenizer.from_file(str(self.encoder / "tokenizer.json"))
        tokenizer.no_truncation()
        texts = sorted({one.text[:WINDOW_CHARS] for some in rows for one in some})
        held = np.zeros(tokenizer.get_vocab_size())
        for encoded in tokenizer.encode_batch(texts, add_special_tokens=False):
            held[list(set(encoded.ids))] += 1
        # To the digits that the head keeps: figures are taken with what is read back.
        return np.round(np.log((len(texts) + 1) / (held + 1)), 2).astype(np.float32)

    def seen(self, examples: Sequence[Example], rarity: npt.NDArray[np.float32], progress: Progress) -> Seen:
        """The figures of the examples; those without a word are left out."""
        drawn = hashlib.sha256(json.dumps([_FIGURES_VERSION, NAMES, self._sha256]).encode())
        drawn.update(rarity.tobytes())
        drawn.update(json.dumps([[one.question, one.text, one.label] for one in examples]).encode())
        path = self._kept / drawn.hexdigest()[:24]
        if not path.is_file():
            reader = SupportReader(self._model, rarity, self._analyzer)
            rows = []
            for one in examples:
                figures = reader.figures(one.question, one.text)
                if figures is not None:
                    rows.append([*figures.tolist(), one.label])
                progress.advance()
            self._kept.mkdir(parents=True, exist_ok=True)
            build = path.with_name(f".{secrets.token_hex(4)}")
            build.write_bytes(np.array(rows, np.float64).tobytes())
            build.replace(path)
        table = np.frombuffer(path.read_bytes(), np.float64).reshape(-1, len(NAMES) + 1)
        return Seen(table[:, :-1], table[:, -1])


def make_verifier(request: VerifierRequest, settings: IndexerSettings, progress: Progress) -> MadeVerifier:
    """Make a support scorer and write it to `request.output` with its card."""
    if request.output.exists():
        raise UsageError(f"{request.output} exists already.", fix="Name a folder that does not exist yet.")
    files = source_files(request.sources)
    others = source_files(request.rarity_from) if request.rarity_from else files
    unknown = set(request.most) - {source_name(path) for path in (*files, *others)}
    if unknown:
        raise UsageError(f"there is no training file called {', '.join(sorted(unknown))}.")
    analyzer = Analyzer()
    examples = {path: _examples(path, request, analyzer) for path in dict.fromkeys((*files, *others))}
    for path in files:
        supported = sum(one.label > 0 for one in examples[path])
        if min(supported, len(examples[path]) - supported) < 2:
            raise UsageError(f"{path}: needs claims that are supported and claims that are not, two of each at least.")
    progress.phase("Exporting")
    figures = FigureSource(request.work, settings)
    rarity = figures.rarity([examples[path] for path in others])
    progress.phase("Taking figures", sum(len(examples[path]) for path in files))
    seen = [figures.seen(examples[path], rarity, progress) for path in files]
    progress.phase("Fitting")
    head = fit(seen, request.ridge, rarity)
    scored = left_out(seen, request.ridge)
    calibration = calibrate(scored)
    likely = [[probability(score, calibration) for score in one.scores.tolist()] for one in scored]
    labels = [(one.labels > 0).tolist() for one in scored]
    pairs = list(zip(likely, labels, strict=True))
    accuracy = float(np.mean([balanced_accuracy(some, true, calibration.threshold) for some, true in pairs]))
    auroc = float(np.mean([binary_auroc(some, true) for some, true in pairs]))
    build = request.output.with_name(f".build-{secrets.token_hex(4)}")
    build.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copytree(figures.encoder, build)
        shorten_names(build / "model.onnx")
        write_head(head, build / HEAD)
        entailment = _add_entailment(request, build, settings, progress)
        card = {
            "base": settings.embedding_model,
            "recipe": {"layers": list(LAYERS), "ridge": request.ridge, "seed": request.seed},
            "sources": {
                source_name(path): {"sha256": sha256_file(path), "examples": len(one.labels)}
                for path, one in zip(files, seen, strict=True)
            },
            "rarity_from": sorted(source_name(path) for path in others),
            "kept_back": {
                "examples": sum(map(len, likely)),
                "balanced_accuracy": round(accuracy, 4),
                "auroc": round(auroc, 4),
            },
            "calibration": calibration.model_dump(),
            **entailment,
            "sha256": {name: sha256_file(build / name) for name in FILES},
        }
        (build / CARD).write_text(json.dumps(card, indent=1) + "\n")
        Disk().publish_folder(build, request.output)
    finally:
        shutil.rmtree(build, ignore_errors=True)
    size = sum(file.stat().st_size for file in request.output.iterdir())
    counts = {source_name(path): len(one.labels) for path, one in zip(files, seen, strict=True)}
    return MadeVerifier(counts, size, accuracy, auroc)


def _add_entailment(
    request: VerifierRequest, build: Path, settings: IndexerSettings, progress: Progress
) -> dict[str, Any]:
    """Write the guardrail's scorer beside the exported encoder; what the card says of it."""
    if request.adapter is None:
        card = json.loads((BUNDLED / CARD).read_bytes())
        if sha256_file(build / "model.onnx") != card["sha256"]["model.onnx"]:
            raise UsageError(
                f"the guardrail's scorer that comes with Footnote was made of {card['base']}, of another export.",
                fix="Make one with `footnote train entailment` and name it with --adapter.",
            )
        shutil.copyfile(BUNDLED / PAIR, build / PAIR)
        return {name: card[name] for name in ("adapter", "entailment")}
    progress.phase("Exporting the guardrail's scorer")
    weights = load_file(request.adapter / ADAPTER)
    export_adapted_encoder(locate(settings.embedding_model), weights, build / PAIR, ADAPTER_RANK)
    known = {source_name(path) for path in source_files(request.sources)}
    held = [row for row in read_lines(request.adapter / HELD) if row["source"] in known]
    progress.phase("Scoring what was held back", len(held))
    model = EntailmentModel(build, threads=_THREADS)
    sources: dict[str, list[tuple[float, float, float]]] = {}
    for row in held:
        claim, text = row["claim"], row["text"]
        (score,) = model.score(claim, [text])
        progress.advance()
        if score != NOTHING_SAID:  # too long to be read, as no sentence is that the service asks of
            stopped = conflict_of_meaning(claim, text) is not None
            sources.setdefault(row["source"], []).append((score, stopped, float(row["supported"])))
    columns = [np.array(rows).T for rows in sources.values() if len({supported for _, _, supported in rows}) > 1]
    calibration = calibrate(
        [Scored(scores, supported) for scores, _, supported in columns], [stopped > 0 for _, stopped, _ in columns]
    )
    return {
        "adapter": {**json.loads((request.adapter / ADAPTER_CARD).read_bytes()), "rank_kept": ADAPTER_RANK},
        "entailment": calibration.model_dump(),
    }


def _examples(path: Path, request: VerifierRequest, analyzer: Analyzer) -> list[Example]:
    rows = read_support_rows(path, request.most.get(source_name(path), 10**9), seed=request.seed)
    return examples_of_support(rows, analyzer)
