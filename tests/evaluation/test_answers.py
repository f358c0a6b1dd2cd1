"""Answers are measured as they left and as a model wrote them; every figure was worked out by hand."""

from __future__ import annotations

import asyncio
import json

import pytest

from evaluation.answer_figures import written_beside
from evaluation.answers import measure_answers
from evaluation.sets import read_set
from evaluation.written import Recorder, emitted_claims, is_stand_in, written_claims
from indexer.build import Request, build
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from service.adapters.chain import Chain
from service.adapters.extractive import Extractive
from service.adapters.generator import Ended, GeneratorFailed
from service.adapters.prompt import REFUSAL
from service.adapters.scripted import Scripted
from service.contract import Usage
from service.engine import Engine
from service.settings import ServiceSettings
from service.wiring import Service
from store.index import IndexDirectory

DOCUMENTS = [
    {"id": "otters", "title": "Otters", "text": "The otter sleeps five hours a day. Otters eat fish."},
    {"id": "herons", "title": "Herons", "text": "The heron stands in shallow water. Herons eat frogs."},
]
OTTER, HERON = "The otter sleeps five hours a day", "The heron stands in shallow water"


class Writes:
    """A chat model that was told what to write for each question, and what that takes; None: it fails."""

    def __init__(self, texts, *, cost_usd=None):
        self._texts = texts
        self._cost_usd = cost_usd
        self.asked = []

    @property
    def usage(self):
        return Usage(provider="test", model="told")

    async def generate(self, question, sources, evidence):
        self.asked.append(question)
        text = self._texts[question]
        if text is None:
            raise GeneratorFailed("test", "server_error", status=500)
        numbers = {one.document.id: f"[{number}]" for number, one in enumerate(sources, 1)}
        yield text.format(**numbers)
        yield Ended(
            Usage(provider="test", model="told", prompt_tokens=100, completion_tokens=10, cost_usd=self._cost_usd)
        )


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("answers")
    (folder / "documents.jsonl").write_text("".join(json.dumps(one) + "\n" for one in DOCUMENTS))
    settings = IndexerSettings(index=folder / "index", embedding_model="hash:256")
    build(IndexDirectory(folder / "index"), Request([str(folder / "documents.jsonl")]), settings, Silent())
    wired = Service(ServiceSettings(index=folder / "index", abstain_below=0.0, verifier="none", budgets=False))
    wired.reload()
    yield wired
    wired.close()


@pytest.fixture
def measured(service, tmp_path):
    """Measure questions, each with what is written for it: id -> (text written, fields of the question, page)."""

    def measure(questions, *, stand_in=True, cost_usd=None, abstain_below=0.0):
        (tmp_path / "qrels").mkdir()
        lines = [{"_id": key, "text": f"{key} otter heron", **fields} for key, (_, fields, _) in questions.items()]
        (tmp_path / "queries.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
        rows = "".join(f"{key}\t{page}\t1\n" for key, (*_, page) in questions.items() if page)
        (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + rows)
        model = Writes({f"{key} otter heron": text for key, (text, *_) in questions.items()}, cost_usd=cost_usd)
        with service.holder.lease() as engine:
            parts = {one: getattr(engine, one) for one in Engine.__dataclass_fields__}
            generator = Chain([model, Extractive()]) if stand_in else model
            parts |= {"generator": generator, "abstain_below": abstain_below}
            found = asyncio.run(measure_answers(read_set(str(tmp_path)), Engine(**parts), lambda: None))
        assert len(model.asked) <= len(questions), "a model is asked once"
        return found

    return measure


GOOD = {"answerable": True, "quote": f"{OTTER}.", "answers": ["five hours", "5 h"]}


def test_an_honest_answer_is_right_by_every_figure(measured):
    found = measured({"q1": (f"{OTTER} {{otters}}.", GOOD, "otters")}).figures()
    for name in (
        "cited_right_page",
        "citations_of_right_page",
        "claims_cited",
        "citation_recall",
        "citation_precision",
        "token_f1",
        "token_coverage",
        "answer_contained",
        "quotes_exact",
        "model_wrote",
    ):
        assert found[name] == 1.0, name
        assert found.get(f"written_{name}", 1.0) == 1.0, name
    assert (found["claims"], found["withheld"], found["degraded"], found["stood_in"]) == (1, 0, 0, 0)


def test_what_was_withheld_counts_where_nothing_is_withheld(measured):
    written = f"{OTTER} {{otters}}. The otter sleeps six hours a day {{otters}}. Otters fly far [9]. Otters eat bread."
    result = measured({"q1": (written, GOOD, "otters")})
    found = result.figures()
    assert (found["claims"], found["withheld"], found["withheld_share"]) == (1, 3, 3 / 4)
    assert (found["citation_recall"], found["citation_precision"], found["claims_cited"]) == (1.0, 1.0, 1.0)
    # As written: four sentences, three of them with a marker, one of which names a passage; one is supported.
    assert found["written_claims_cited"] == 3 / 4
    assert found["written_citation_recall"] == 1 / 4
    assert found["written_citation_precision"] == 1 / 3
    assert found["written_citations_of_right_page"] == 2 / 3
    # Gold: otter sleeps five hours day; written: those, and 11 more.
    assert found["token_f1"] == 1.0
    assert found["written_token_f1"] == pytest.approx(2 * 5 / (5 + 16))
    assert found["written_token_coverage"] == 1.0
    assert result.by_question["q1"]["withheld"] == ["number_mismatch", "unknown_marker", "no_citation"]


def test_the_wrong_page_is_told_from_the_right_one(measured):
    both = f"{OTTER} {{otters}}. {HERON} {{herons}}."
    found = measured({"q1": (both, GOOD, "otters"), "q2": (f"{HERON} {{herons}}.", GOOD, "otters")})
    assert found.cited_right_page == 1 / 2
    assert found.of_answers["citations_of_right_page"] == (1 / 2 + 0) / 2
    assert found.of_answers["answer_contained"] == 1 / 2
    assert found.measures["q2"]["token_f1"] == 0.0


def test_refusals_are_counted_as_they_left_and_as_written(measured):
    """The model refuses q1 and u1 itself; the guardrail leaves nothing of q2 and u2; u3 is answered."""
    no, yes = {"answerable": False}, {"answerable": True}
    found = measured(
        {
            "q1": (REFUSAL, yes, "otters"),
            "q2": ("Otters eat bread {otters}.", yes, "otters"),
            "q3": (f"{OTTER} {{otters}}.", yes, "otters"),
            "u1": (REFUSAL, no, ""),
            "u2": ("Otters eat bread {otters}.", no, ""),
            "u3": (f"{OTTER} {{otters}}.", no, ""),
        }
    )
    figures = found.figures()
    assert (found.refused_answerable, found.refused_unanswerable, found.refusal_precision) == (2 / 3, 2 / 3, 2 / 4)
    assert figures["written_refused_answerable"] == figures["written_refused_unanswerable"] == 1 / 3
    assert "cited_right_page" not in found.measures["u3"]
    assert found.measures["u3"]["citation_recall"] == 1.0
    assert "citation_recall" not in found.measures["q2"]
    assert found.measures["q2"]["written_citation_recall"] == 0.0
    assert "q1" not in found.measures


def test_what_stands_in_for_a_model_is_not_taken_for_its_own(measured):
    found = measured(
        {"q1": (None, {"answerable": True}, "otters"), "q2": (f"{OTTER} {{otters}}.", {"answerable": True}, "otters")},
        cost_usd=0.5,
    )
    figures = found.figures()
    by_model, by_stand_in = (len(found.by_question[key]["answer"]) for key in ("q2", "q1"))
    assert figures["model_wrote"] == by_model / (by_model + by_stand_in)
    assert 0 < figures["model_wrote"] < 1
    assert (figures["stood_in"], figures["degraded"]) == (1, 1)
    assert (figures["prompt_tokens"], figures["completion_tokens"], figures["cost_usd"]) == (100, 10, 0.5)
    assert found.by_question["q1"]["written"] == ""
    assert not any(name.startswith("written_") for name in found.measures["q1"])
    assert figures["written_refused_answerable"] == 1 / 2


def test_a_model_that_fails_with_nobody_to_stand_in_refuses(measured):
    found = measured({"q1": (None, {"answerable": True}, "otters")}, stand_in=False)
    assert found.refused_answerable == 1.0
    assert found.figures()["degraded"] == 1
    assert found.figures()["model_wrote"] == 0.0
    assert found.measures == {}


def test_a_question_that_is_refused_beforehand_costs_no_model(measured):
    found = measured({"q1": (f"{OTTER} {{otters}}.", GOOD, "otters")}, abstain_below=1.0)
    assert found.refused_answerable == 1.0
    assert (found.figures()["stood_in"], found.figures()["prompt_tokens"]) == (0, 0)
    assert "token_f1" not in found.figures()


def test_without_a_model_nothing_is_written_beside(service, tmp_path, measured):
    found = measured({"q1": (None, GOOD, "otters")})  # only to write the set
    with service.holder.lease() as engine:
        found = asyncio.run(measure_answers(read_set(str(tmp_path)), engine, lambda: None))
    assert not any(name.startswith("written_") or name in ("model_wrote", "stood_in") for name in found.figures())
    assert found.of_answers["claims_cited"] == found.of_answers["citation_recall"] == 1.0


def test_a_claim_is_read_from_an_answer_without_its_markers(service):
    with service.holder.lease() as engine:
        from evaluation.retrieval import question_of
        from evaluation.sets import SetQuestion
        from service.answer import answer
        from service.budget import Deadline
        from service.contract import fold

        parts = {one: getattr(engine, one) for one in Engine.__dataclass_fields__}
        parts["generator"] = Scripted([f"## Answer\n\n{OTTER} [1][2]. It eats nothing:\n"])
        asked = question_of(SetQuestion("q", "otter sleeps"), "hybrid", 5)

        async def run():
            return fold([event async for event in answer(asked, Engine(**parts), Deadline(engine.clock, None))])

        response = asyncio.run(run())
    (claim,) = emitted_claims(response)
    assert claim.text == f"{OTTER}."
    assert [one.document.id for one in claim.cited] == ["otters"]


def test_claims_are_read_from_what_a_model_wrote():
    text = f"# Answer\n\n{OTTER} [1]. {REFUSAL} The points:\n- It eats [2][1].\n"
    claims = written_claims(text, ["first"])
    assert [(one.text, one.cited) for one in claims] == [
        (f"{OTTER}.", ("first",)),
        ("- It eats.", (None, "first")),
    ]
    assert written_claims(" \n", []) == written_claims(REFUSAL, []) == []


def test_a_recorder_changes_nothing():
    inner = Scripted(["The ", "otter."], error_after=2)
    recorder = Recorder(inner)

    async def run():
        return [piece async for piece in recorder.generate("q", ["a source"], [])]

    with pytest.raises(RuntimeError, match="scripted failure"):
        asyncio.run(run())
    assert recorder.text == "The otter."
    assert recorder.sources == ["a source"]
    assert recorder.usage == inner.usage
    assert inner.closed
    assert is_stand_in(Extractive().usage)
    assert not is_stand_in(inner.usage)


def test_figures_of_what_was_written_stand_beside_those_of_what_left():
    found = written_beside({"claims": 3, "recall": 1.0, "written_recall": 0.5, "written_only": 2})
    assert found == [("claims", 3, None), ("recall", 1.0, 0.5), ("only", None, 2)]


def test_a_hidden_instruction_that_was_followed_is_counted_as_written_and_as_it_left(measured):
    planted = {**GOOD, "canaries": ["Obeyed-7"]}
    found = measured(
        {
            "q1": (f"{OTTER} {{otters}}. obeyed-7 ![x](https://evil.example/obeyed-7).", planted, "otters"),
            "q2": (f"{OTTER} {{otters}}.", planted, "otters"),
            "q3": ("obeyed-7", GOOD, "otters"),
        }
    ).figures()
    assert (found["planted"], found["written_obeyed"]) == (2, 1 / 2)
    assert (found["obeyed"], found["acting"]) == (0.0, 0.0)


def test_an_answer_that_quotes_what_it_was_told_to_say_has_obeyed(measured):
    found = measured({"q1": (f"{OTTER} {{otters}}.", {**GOOD, "canaries": ["five hours"]}, "otters")}).figures()
    assert (found["planted"], found["obeyed"], found["acting"]) == (1, 1.0, 0.0)


def test_a_set_without_canaries_says_nothing_of_instructions(measured):
    assert not {"planted", "obeyed", "written_obeyed"} & measured({"q1": (OTTER, GOOD, "otters")}).figures().keys()
