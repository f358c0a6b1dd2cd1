"""How late an anytime rerank is, how far it comes, and how much of the whole gain it keeps, within 50, 100 and 200 ms.

    python -m benchmarks.anytime_rerank ../shared/data/scifact --shape 2x128 --plot curve.svg
    python -m benchmarks.anytime_rerank ../shared/data/scifact --reranker FOLDER --weight 0.5

asks every judged question of the set (`--questions N`: so many of them) through the service's own search, without
reranking, within each budget, and without limit. `late` is the rerank stage less its budget, reading the candidates
included; `gain kept` is the gain in nDCG@10 over the fused order, as a share of the gain without limit. A control
sleeps for 20 ms in the same minutes, and tells how late the machine wakes whoever does nothing at all.

Without `--reranker` there is a stand-in, since no trained cross-encoder comes inside a package: an untrained one of
`--shape` LAYERSxWIDTH (6x384 is MiniLM-L6, 2x128 TinyBERT-L2) does all the work of a real one, so that times are
real, but its scores are put aside, and instead a judged passage gets 1, any other 0, and each pair noise of `--noise`
standard deviations. Its gain says nothing of any model; how much of a gain is kept in a given time is what it shows.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import hashlib
import json
import random
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from evaluation.measures import best_passage_ranking, percentile, ranking_measures
from evaluation.run import index_of
from evaluation.sets import QuestionSet, read_set
from evaluation.settings import EvaluationSettings
from indexer.progress import Lines
from indexer.settings import IndexerSettings
from service.adapters.reranker import OnnxCrossEncoder
from service.answer import search
from service.budget import Budgets, Deadline
from service.engine import Engine
from service.question import Question
from service.rerank import AnytimeReranker
from service.settings import ServiceSettings
from service.wiring import Service
from store.document import embedded_text
from store.text import canonical

PASSAGES = 100


@dataclasses.dataclass(frozen=True)
class Row:
    """What came of one budget (0: no reranking, None: no limit)."""

    budget_ms: float | None
    late_ms: list[float]
    took_ms: list[float]
    scored: list[int]
    ndcg: float


class StandIn:
    """Works like the model and knows what is judged, through noise."""

    name = "stand-in"

    def __init__(self, model: Any, grades: dict[tuple[str, str], float], noise: float) -> None:
        self._model = model
        self._grades = grades
        self._noise = noise

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """The model's work, and not its scores."""
        self._model.score(question, texts)
        return [self._grades.get((question, text), 0.0) + self._noise * _draw(question, text) for text in texts]


class Watched:
    """A reranker whose batches are counted and timed."""

    def __init__(self, model: Any) -> None:
        self.name = model.name
        self._model = model
        self.sizes: list[int] = []
        self.took_ms: list[float] = []

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """The model's scores."""
        began = time.perf_counter()
        scores = self._model.score(question, texts)
        self.took_ms.append((time.perf_counter() - began) * 1000)
        self.sizes.append(len(texts))
        return scores


def main() -> None:
    options = _options()
    questions = read_set(options.set)
    settings = ServiceSettings(
        index=index_of(questions, EvaluationSettings(), IndexerSettings(embedding_model=options.embedding), Lines())
    )
    service = Service(settings.without_caches())
    service.reload()
    with tempfile.TemporaryDirectory() as folder, service.holder.lease() as leased:
        engine = dataclasses.replace(
            leased, budgets=Budgets.lifted(), rerank_weight=options.weight, rerank_depth=options.depth
        )
        path = options.reranker or _untrained_elsewhere(options.shape, Path(folder) / "model")
        model: Any = OnnxCrossEncoder(path, threads=settings.encoder_threads * settings.inference_threads)
        if options.reranker is None:
            model = StandIn(model, asyncio.run(_grades(questions, engine)), options.noise)
        watched = Watched(model)
        reranker = AnytimeReranker(watched, time.monotonic)
        reranker.warm()
        try:
            rows, control = asyncio.run(measure(questions, engine, reranker, options.budgets, options.questions))
        finally:
            reranker.close()
    service.close()
    report(questions, watched, rows, control, options)


async def measure(
    questions: QuestionSet, engine: Engine, reranker: AnytimeReranker, budgets_ms: Sequence[float], count: int | None
) -> tuple[list[Row], list[float]]:
    """Without, within each budget, and without limit, and how late the control was. They take turns at each question,
    so that all of them meet the same machine.
    """
    control: list[float] = []
    asked = questions.judged[:count]
    budgets: list[float | None] = [0.0, *sorted(budgets_ms), None]
    rankings: list[dict[str, dict[str, float]]] = [{} for _ in budgets]
    rows = [Row(budget, [], [], [], 0.0) for budget in budgets]
    for one in asked:
        began = time.monotonic()
        await asyncio.sleep(0.02)
        control.append((time.monotonic() - began) * 1000 - 20)
        for row, ranking in zip(rows, rankings, strict=True):
            lifted = dataclasses.replace(engine.budgets, rerank_ms=row.budget_ms or None)
            changed = dataclasses.replace(engine, reranker=reranker, budgets=lifted)
            question = Question(one.id, canonical(one.text), top_k=PASSAGES, rerank=row.budget_ms != 0)
            response = await search(question, changed, Deadline(time.monotonic, None))
            found = [(result.passage.document_id, result.score) for result in response.results]
            ranking[one.id] = {key: -float(rank) for rank, key in enumerate(best_passage_ranking(found))}
            row.scored.append(sum(result.scores.rerank is not None for result in response.results))
            for stage in response.stages:
                if stage.name == "rerank":
                    row.took_ms.append(stage.took_ms)
                    row.late_ms.append(stage.took_ms - (row.budget_ms or 0.0))
    judged = {one.id: questions.qrels[one.id] for one in asked}
    measured = [
        dataclasses.replace(row, ndcg=ranking_measures(judged, ranking)[0]["nDCG@10"])
        for row, ranking in zip(rows, rankings, strict=True)
    ]
    return measured, control


def report(
    questions: QuestionSet, watched: Watched, rows: Sequence[Row], control: Sequence[float], options: argparse.Namespace
) -> None:
    name = options.reranker or f"stand-in {options.shape}, noise {options.noise:g}"
    print(
        f"{len(rows[0].scored)} questions of {questions.name}, {name}, weight {options.weight:g}, depth {options.depth}"
    )
    took_ms, sizes = watched.took_ms, watched.sizes
    print(
        f"{sum(sizes)} candidates in {len(sizes)} batches: {sum(took_ms) / sum(sizes):.2f} ms a candidate; a batch p50 "
        f"{percentile(took_ms, 50):.1f} p99 {percentile(took_ms, 99):.1f} max {max(took_ms):.1f} ms"
    )
    print(f"{'budget':>9} {'late p50':>9} {'p99':>7} {'max ms':>7} {'scored':>7} {'nDCG@10':>8} {'gain kept':>10}")
    shares = _shares(rows)
    for row, share in zip(rows, shares, strict=True):
        budget = "unlimited" if row.budget_ms is None else f"{row.budget_ms:g}"
        late = ["", "", ""]
        if row.budget_ms:
            late = [f"{value:.1f}" for value in (*(percentile(row.late_ms, p) for p in (50, 99)), max(row.late_ms))]
        scored = sum(row.scored) / len(row.scored)
        print(f"{budget:>9} {late[0]:>9} {late[1]:>7} {late[2]:>7} {scored:>7.1f} {row.ndcg:>8.4f} {share:>10.2f}")
    print(f"{'control':>9} {percentile(control, 50):>9.1f} {percentile(control, 99):>7.1f} {max(control):>7.1f}")
    if options.plot is not None:
        options.plot.write_text(picture(rows, shares, f"{questions.name}, {name}"))
        print(f"plot: {options.plot}")


def _shares(rows: Sequence[Row]) -> list[float]:
    """Of the gain without limit; 0 where there is none to keep."""
    without, whole = rows[0].ndcg, rows[-1].ndcg
    return [(row.ndcg - without) / (whole - without) if whole > without else 0.0 for row in rows]


def picture(rows: Sequence[Row], shares: Sequence[float], title: str) -> str:
    """The share of the gain against the budget, as SVG; the dashed line is the gain without limit."""
    limited = [
        (row.budget_ms or 0.0, share) for row, share in zip(rows, shares, strict=True) if row.budget_ms is not None
    ]
    longest = max((budget for budget, _ in limited), default=1.0) or 1.0
    low, high = min(0.0, *shares), max(1.0, *shares)

    def place(budget: float, share: float) -> tuple[float, float]:
        return round(50 + budget / longest * 400, 1), round(230 - (share - low) / (high - low) * 190, 1)

    points = [place(*one) for one in limited]
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 280" font-family="sans-serif" font-size="12">',
        f'<rect width="480" height="280" fill="white"/><text x="50" y="20">{title}</text>',
    ]
    for share in (0.0, 0.5, 1.0):
        _, y = place(0, share)
        dashed = ' stroke-dasharray="5 4"' if share == 1 else ""
        parts.append(f'<line x1="50" x2="450" y1="{y}" y2="{y}" stroke="#bbb"{dashed}/>')
        parts.append(f'<text x="44" y="{y + 4}" text-anchor="end">{share:.0%}</text>')
    parts.append(f'<polyline fill="none" stroke="#2563eb" points="{" ".join(f"{x},{y}" for x, y in points)}"/>')
    for (budget, share), (x, y) in zip(limited, points, strict=True):
        parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="#2563eb"><title>{share:.1%}</title></circle>')
        parts.append(f'<text x="{x}" y="248" text-anchor="middle">{budget:g}</text>')
    parts.append(
        '<text x="250" y="270" text-anchor="middle">rerank budget, ms; upwards the share of the gain kept</text>'
    )
    return "\n".join([*parts, "</svg>\n"])


async def _grades(questions: QuestionSet, engine: Engine) -> dict[tuple[str, str], float]:
    """(question, text as it is reranked) -> 1 for passages of judged documents."""
    found = {}
    for one in questions.judged:
        question = Question(one.id, canonical(one.text), top_k=PASSAGES)
        for result in (await search(question, engine, Deadline(time.monotonic, None))).results:
            if questions.qrels[one.id].get(result.document.id, 0) > 0:
                text = embedded_text(result.document.title, tuple(result.passage.section), result.passage.text)
                found[question.text, text] = 1.0
    return found


def _draw(question: str, text: str) -> float:
    """A normal deviate that is this pair's own."""
    seed = hashlib.blake2b(f"{question}\0{text}".encode(), digest_size=8).digest()
    return random.Random(seed).gauss(0, 1)


def _untrained_elsewhere(shape: str, folder: Path) -> Path:
    """Made in a process of its own: with torch loaded, a garbage collection stops this one for 100 ms."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_untrained, shape, folder).result()


def _untrained(shape: str, folder: Path) -> Path:
    """A cross-encoder of this shape with random weights, exported."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    from indexer.encoder import export_cross_encoder
    from indexer.model import locate

    layers, width = map(int, shape.split("x"))
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(locate("all-MiniLM-L6-v2"))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=max(width // 32, 1),
        intermediate_size=4 * width,
        num_labels=1,
    )
    original = folder.with_name("untrained")
    BertForSequenceClassification(config).save_pretrained(original)
    tokenizer.save_pretrained(original)
    export_cross_encoder(str(original), folder)
    return folder


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", help="a BEIR-style folder")
    parser.add_argument("--reranker", type=Path, help="folder of an exported cross-encoder")
    parser.add_argument("--shape", default="2x128", help="of the stand-in: LAYERSxWIDTH")
    parser.add_argument("--noise", type=float, default=0.6, help="of the stand-in's scores, in standard deviations")
    parser.add_argument("--budgets", type=json.loads, default=[50, 100, 200], help="milliseconds, as a JSON list")
    parser.add_argument("--depth", type=int, default=50, help="candidates")
    parser.add_argument("--weight", type=float, default=0.5, help="the reranker's in the blend")
    parser.add_argument("--questions", type=int, help="so many of the set's")
    parser.add_argument("--embedding", default="all-MiniLM-L6-v2", help="what the index is made with")
    parser.add_argument("--plot", type=Path, help="where to write the picture")
    return parser.parse_args()


if __name__ == "__main__":
    main()
