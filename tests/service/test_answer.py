"""Answers: what leaves, in which order, with which offsets, on every path."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from service.adapters.scripted import Scripted
from service.answer import answer
from service.budget import Budgets, Deadline
from service.compose import ABSTENTION_TEXT
from service.contract import DegradedEvent, FinishEvent, MetaEvent, SentenceEvent, SourcesEvent, WithheldEvent, fold
from service.question import ANYONE, Question

OTTER = "The otter sleeps five hours a day [1]."


def check_offsets(response, engine):
    """Everything an answer claims about itself and about the store holds."""
    assert response.answer == "".join(response.answer[one.start : one.end] for one in response.sentences)
    markers = {}
    for citation in response.citations:
        claim = response.answer[citation.answer_start : citation.answer_end]
        assert response.answer[citation.marker_start : citation.marker_end] == f"[{citation.marker}]"
        assert f"[{citation.marker}]" in claim
        markers.setdefault(citation.passage_id, citation.marker)
        assert markers[citation.passage_id] == citation.marker
        document = asyncio.run(
            engine.snapshot.document(
                id=citation.document_id, version=citation.document_version, principals=frozenset({"staff"})
            )
        )
        assert document is not None
        assert document.text[citation.source_start : citation.source_end] == citation.quote
    assert sorted(markers.values()) == list(range(1, len(markers) + 1))


def check_grammar(events):
    kinds = [type(event) for event in events]
    assert kinds[0] is MetaEvent
    assert kinds[-1] is FinishEvent
    assert kinds.count(MetaEvent) == kinds.count(FinishEvent) == kinds.count(SourcesEvent) == 1
    body = kinds[kinds.index(SourcesEvent) + 1 : -1]
    assert set(body) <= {SentenceEvent, WithheldEvent, DegradedEvent}


def test_a_supported_sentence_leaves_with_an_exact_quote(events, engine):
    found = events("how long does the otter sleep", generator=Scripted([OTTER]))
    response = fold(found)

    check_grammar(found)
    check_offsets(response, engine)
    assert response.verdict == "grounded"
    assert response.answer.strip() == OTTER
    assert [citation.quote for citation in response.citations] == ["The otter sleeps five hours a day."]


def test_the_extractive_answer_is_verbatim(events, engine):
    response = fold(events("how long does the otter sleep"))

    check_offsets(response, engine)
    assert response.verdict == "grounded"
    assert "The otter sleeps five hours a day [1]." in response.answer
    assert all(citation.support == 1.0 for citation in response.citations)


def test_a_bracketed_number_of_the_source_stays_and_cites_nothing(folded, engine):
    response = folded("which element of the array is first")

    check_offsets(response, engine)
    assert "The first element of the array is schedule[1] in this table [1]." in response.answer
    assert {citation.marker for citation in response.citations} == {1}
    assert any(
        citation.quote == "The first element of the array is schedule[1] in this table."
        for citation in response.citations
    )


@pytest.mark.parametrize("lie", ["The lynx lives in the city [1].", "the lynx lives in the city [1]."])
def test_words_that_the_source_turns_around_do_not_support_what_they_say_alone(folded, lie):
    response = folded("lynx city", generator=Scripted([lie]))
    assert [one.reason for one in response.withheld] == ["negation_mismatch"]


def test_a_sentence_wrapped_over_lines_is_quoted_as_stored(folded, engine):
    response = folded("badger setts", generator=Scripted(["A badger digs deep setts with many entrances [1]."]))

    check_offsets(response, engine)
    assert response.citations[0].quote == "A badger digs deep\nsetts with many\nentrances."


LIES = {
    "number": ("Otters eat 16 kg of fish in 2023 [1].", "number_mismatch"),
    "year": ("Otters eat 15 kg of fish in 2024 [1].", "number_mismatch"),
    "negation removed": ("It does eat bread [1].", "negation_mismatch"),
    "negation added": ("The otter never sleeps five hours a day [1].", "negation_mismatch"),
    "unit": ("Otters eat 15 g of fish in 2023 [1].", "unit_mismatch"),
    "number in words": ("The otter sleeps seven hours a day [1].", "number_mismatch"),
    "name": ("The river Thames is its home [1].", "not_supported"),
    "name added": ("The river Tamar in Cornwall is its home [1].", "name_mismatch"),
    "obligation": ("The otter must sleep five hours a day [1].", "modality_mismatch"),
    "scope": ("Otters always eat 15 kg of fish in 2023 [1].", "scope_mismatch"),
    "opposite": ("The heron stands in deep shallow water without fish [1].", "not_supported"),
    "fused sentences": ("The otter home is the river bread Tamar [1].", "not_supported"),
    "fused sources": ("The heron sleeps five hours a day [1].", "fused_sources"),
    "invented": ("The otter plays chess with salmon [1].", "not_supported"),
    "invented marker": ("The lynx hunts at dawn [9].", "unknown_marker"),
    "uncited": ("The lynx hunts at dawn.", "no_citation"),
    "half a word": ("hallow wate [1].", "not_supported"),
    "extra clause": (
        "The otter sleeps five hours a day because winters in Norway are long and dark [1].",
        "not_supported",
    ),
    "code altered": ("```\nSELECT badger FROM river;\n``` [1]", "code_not_exact"),
    "code with a claim for a language": ("```otters eat people\nSELECT otter FROM river;\n``` [1]", "code_not_exact"),
    "code with a claim after it": ("```\nSELECT otter FROM river;\n``` otters fly [1]", "code_not_exact"),
    "code left open": ("```\nOtters eat 99 kg of fish [1]", "code_not_exact"),
    "heading with a number": ("# 42 otters", "no_citation"),
    "introduction with a name": ("According to Professor Smith:", "no_citation"),
    "cjk number": ("人口は1500万人です [1]。", "number_mismatch"),
}


@pytest.mark.parametrize(("lie", "reason"), LIES.values(), ids=LIES)
def test_a_lie_is_withheld_with_its_reason_and_not_a_character_of_it_leaves(events, lie, reason):
    found = events("otter heron fish 東京 人口", generator=Scripted([lie]))
    response = fold(found)

    (withheld,) = response.withheld
    assert (withheld.reason, withheld.text) == (reason, None)
    assert response.verdict == "abstained"
    assert response.answer == ABSTENTION_TEXT
    told = [event.model_dump_json() for event in found if not isinstance(event, SourcesEvent)]
    assert not any(lie.split(" [")[0] in one for one in told)


def test_a_right_fact_with_a_wrong_marker_is_repaired(folded, engine):
    sources = folded("otter heron fish", generator=Scripted([])).sources
    wrong = 1 + next(n for n, one in enumerate(sources) if one.document.id != "herons")

    response = folded("otter heron fish", generator=Scripted([f"The heron stands in shallow water [{wrong}]."]))

    check_offsets(response, engine)
    assert [citation.document_id for citation in response.citations] == ["herons"]


def test_flagged_shows_the_sentence_marked(events):
    question = Question("r", "otter", guardrail="flagged")
    response = fold(events("", question=question, generator=Scripted([OTTER + " ", "Otters eat 99 kg of fish [1]."])))

    assert response.verdict == "partial"
    assert [one.verdict for one in response.sentences] == ["supported", "unsupported"]
    assert response.withheld[0].text == "Otters eat 99 kg of fish."


def test_what_was_verified_before_a_failure_stays(events, engine):
    found = events("otter", generator=Scripted([OTTER + " ", "The heron stands "], error_after=2))
    response = fold(found)

    check_grammar(found)
    check_offsets(response, engine)
    assert (response.finish_reason, response.verdict) == ("provider_error", "partial")
    assert response.answer.strip() == OTTER
    assert any("RuntimeError" in message for message in response.degraded)
    assert "scripted failure" not in response.model_dump_json()


@pytest.mark.parametrize("said", [["Well"], ["Well, ", "the otter "]])
def test_words_that_make_no_sentence_in_time_are_left_for_the_passages_own(events, said):
    """Of silence before the first word the model's own limits take care; here it talks."""
    began = time.monotonic()
    found = events(
        "how long does the otter sleep",
        generator=Scripted([*said, "never said"], stall_after=len(said)),
        budgets=dataclasses.replace(Budgets.lifted(), first_sentence_ms=200),
    )
    response = fold(found)
    assert 0.15 < time.monotonic() - began < 5
    assert response.verdict == "grounded"
    assert OTTER in response.answer
    assert "Well" not in response.answer
    assert response.withheld == []
    assert any("no sentence in time" in message for message in response.degraded)


def test_a_failure_before_the_first_sentence_is_an_abstention_that_says_why(events):
    response = fold(events("otter", generator=Scripted(["x"], error_after=0)))

    assert (response.finish_reason, response.verdict) == ("provider_error", "abstained")
    assert response.abstention is not None


def test_a_generator_that_stalls_ends_with_the_deadline_and_what_was_verified(events):
    began = time.monotonic()
    generator = Scripted([OTTER + " ", "And ", "more."], stall_after=2)

    response = fold(events("otter", total_ms=1_000, generator=generator))

    assert time.monotonic() - began < 3
    assert (response.finish_reason, response.verdict) == ("deadline", "partial")
    assert generator.closed


@pytest.mark.parametrize("text", ["", " \n", "\x00\x00", "[1]", "\ud800", "...", "x" * 20_000, "\r\n\r\n"])
def test_garbage_never_breaks_an_answer(events, engine, text):
    found = events("otter", generator=Scripted([text]))

    check_grammar(found)
    check_offsets(fold(found), engine)
    assert fold(found).verdict == "abstained"


def test_no_results_and_too_little_evidence_refuse_and_list_the_nearest(folded):
    nothing = folded("", question=Question("r", "otter", filter=None, mode="lexical"), generator=Scripted([]))
    unknown = folded("", question=Question("r", "zzzz qqqq", mode="lexical"))
    little = folded("otter", abstain_below=1.0)

    assert nothing.abstention.reason == "nothing_supported"
    assert unknown.abstention.reason == "no_results"
    assert little.abstention.reason == "insufficient_evidence"
    assert little.sources
    assert little.answer == ABSTENTION_TEXT


def test_leaving_early_closes_the_generator(engine):
    generator = Scripted([OTTER + " ", "The heron stands in shallow water [1]. ", "More "])
    changed = dataclasses.replace(engine, generator=generator)

    async def leave():
        events = answer(Question("r", "otter"), changed, Deadline(changed.clock, None))
        async for event in events:
            if isinstance(event, SentenceEvent):
                break
        await events.aclose()

    asyncio.run(leave())

    assert generator.closed


def test_a_document_that_may_not_be_read_is_nowhere(events, engine):
    found = events("secret otter plan on Monday")
    allowed = events("", question=Question("r", "secret otter plan on Monday", principals=frozenset({"staff"})))

    assert "secret" not in "".join(e.model_dump_json() for e in found if not isinstance(e, MetaEvent))
    assert "plan" in {source.document.id for source in fold(allowed).sources}
    assert asyncio.run(engine.snapshot.document(id="plan", principals=ANYONE)) is None


PIECES = st.sampled_from(
    [
        OTTER,
        "Otters eat 99 kg of fish [1].",
        "The heron stands in shallow water [2].",
        "Note:",
        "東京は日本の首都です [1]。",
        "```\nSELECT otter FROM river;\n```",
        "lies lies lies.",
        "\n",
        " ",
    ]
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(["The otter sleeps [1].", "```\nSELECT otter FROM river;\n```", "Otters eat 99 kg of fish [1]."] * 2, 1)
@given(st.lists(PIECES, max_size=6), st.integers(1, 30))
def test_offsets_and_quotes_hold_for_any_text_however_it_arrives(events, engine, pieces, size):
    text = " ".join(pieces)
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    found = events("otter heron fish 東京", generator=Scripted(chunks))

    check_grammar(found)
    check_offsets(fold(found), engine)
    assert fold(found).answer == fold(events("otter heron fish 東京", generator=Scripted([text]))).answer
    assert "99 kg" not in fold(found).answer


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(LIES)), st.lists(st.integers(1, 12), min_size=1, max_size=8), st.booleans())
def test_not_a_character_of_a_lie_leaves_however_the_stream_is_cut(events, name, sizes, after_a_truth):
    lie, _ = LIES[name]
    text = f"{OTTER} {lie}" if after_a_truth and not lie.startswith(("#", "```")) else lie
    chunks, at = [], 0
    for size in itertools.cycle(sizes):
        if at >= len(text):
            break
        chunks.append(text[at : at + size])
        at += size
    found = events("otter heron fish 東京 人口", generator=Scripted(chunks))

    check_grammar(found)
    left = "".join(event.text for event in found if isinstance(event, SentenceEvent))
    expected = fold(events("otter", generator=Scripted([OTTER]))).answer if text != lie else ABSTENTION_TEXT
    assert left.strip() == expected.strip()


def test_an_endless_sentence_is_withheld_in_pieces_and_what_follows_is_checked_as_ever(folded, engine):
    response = folded("otter", generator=Scripted(["word " * 3000, "end [1]. ", OTTER]))
    check_offsets(response, engine)
    assert response.answer.strip() == OTTER
    assert {one.reason for one in response.withheld} == {"too_long"}
    assert sum(one.chars for one in response.withheld) > 14_000


@pytest.mark.parametrize("wanted", [1, 2, 3])
def test_sources_are_as_many_as_were_asked_for_and_citations_point_into_them(events, wanted):
    asked = Question("r1", "otter heron badger river water", top_k=wanted)
    found = fold(events(asked.text, question=asked))
    assert [one.rank for one in found.sources] == list(range(1, wanted + 1))
    assert {one.passage_id for one in found.citations} <= {one.passage.id for one in found.sources}


QUOTED = "sentences of the passages instead"


@pytest.mark.parametrize(
    ("written", "guardrail", "quoted"),
    [
        (["The otter sleeps nine hours a day [1]."], "verified", True),
        (["The otter sleeps nine hours a day [1]."], "flagged", False),
        (["The otter sleeps nine hours a day [1]. ", "The otter sleeps five hours a day [1]."], "verified", False),
        (["The passages do not answer this."], "verified", False),
        (["The otter flies [1]. ", "The passages do not answer this question. [1]"], "verified", False),
        ([" "], "verified", False),
    ],
    ids=["a lie", "a lie that is shown", "a lie and a truth", "a refusal", "a lie and a refusal", "nothing"],
)
def test_where_nothing_written_is_verified_passages_are_quoted_on_request(folded, written, guardrail, quoted):
    question = Question("r1", "how long does the otter sleep", top_k=5, guardrail=guardrail)
    asked = {"question": question, "generator": Scripted(written)}
    response = folded("", **asked, quote_when_withheld=True)
    assert any(QUOTED in one for one in response.degraded) == quoted
    if quoted:
        assert "The otter sleeps five hours a day [1]." in response.answer
        assert "nine" not in response.model_dump_json(exclude={"sources"})
        assert (response.verdict, response.finish_reason) == ("partial", "stop")
        assert [one.reason for one in response.withheld] == ["number_mismatch"]
        withheld = folded("", **asked)
        assert (withheld.verdict, withheld.degraded) == ("abstained", [])
