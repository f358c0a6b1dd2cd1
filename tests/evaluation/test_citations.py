"""ALCE's citation recall and precision on answers small enough to work out by hand."""

from __future__ import annotations

import pytest

from evaluation.citations import Claim, citation_recall_precision, judges
from service.contract import DocumentHeaderModel, PassageModel, Result, Scores
from service.verifier import SupportCalibration, Verifier
from store.analyzer import Analyzer


def passage(text, title="", identifier="p"):
    return Result(
        rank=1,
        score=1.0,
        scores=Scores(fused=1.0),
        passage=PassageModel(id=identifier, document_id="d", text=text, start=0, end=len(text), section=[]),
        document=DocumentHeaderModel(id="d", version="v", title=title, metadata={}),
    )


A, B, C = passage("a"), passage("b"), passage("c")


def words_of(text, cited):
    """A judge: passages that are letters support a sentence that is made of them."""
    return set(text) <= {one.passage.text for one in cited}


@pytest.mark.parametrize(
    ("claims", "recall", "precision"),
    [
        ([Claim("a", (A,))], 1, 1),
        ([Claim("a", (B,))], 0, 0),
        ([Claim("a", ())], 0, 0),  # no citation: nothing supports it, and none is right
        ([Claim("a", (A, B))], 1, 1 / 2),  # b alone does not support it, and without b it still is
        ([Claim("ab", (A, B))], 1, 1),  # neither alone does, but none can go
        ([Claim("ab", (A, B, C))], 1, 2 / 3),
        ([Claim("a", (A, A))], 1, 1),  # each alone supports it
        ([Claim("a", (B, C))], 0, 0),  # of a sentence that is not supported no citation is right
        ([Claim("a", (A, None))], 1, 1 / 2),  # a marker of no passage is a citation that is not needed
        ([Claim("a", (None,))], 0, 0),
        ([Claim("a", (A,)), Claim("b", (A, C)), Claim("c", (C,)), Claim("b", ())], 2 / 4, 2 / 4),
        ([], 0, 0),
    ],
)
def test_recall_is_of_claims_and_precision_of_citations(claims, recall, precision):
    assert citation_recall_precision(claims, words_of) == (pytest.approx(recall), pytest.approx(precision))


OTTER = passage("The otter sleeps five hours a day. It eats fish.", "Otters")
HERON = passage("The heron stands in shallow water.", "Herons")


def test_the_check_that_is_shipped_judges_words_and_hard_facts():
    supports = judges(Analyzer(), None, None)[""]
    assert list(judges(Analyzer(), None, None)) == [""]
    assert supports("The otter sleeps five hours a day.", [HERON, OTTER])
    assert not supports("The otter sleeps five hours a day.", [HERON])
    assert not supports("The otter sleeps six hours a day.", [HERON, OTTER])


class Logits:
    """Says the same of every pair, and keeps what it was asked."""

    name = "told"

    def __init__(self, logit):
        self._logit = logit
        self.asked = []

    def score(self, claim, parts):
        self.asked.extend((claim, part) for part in parts)
        return [self._logit] * len(parts)


def scorer(logit):
    fields = {"intercept": 0.0, "slope": 1.0, "threshold": 0.5, "accept_from": 0.9}
    if "refuse_below" in SupportCalibration.model_fields:
        fields["refuse_below"] = 0.1
    return Verifier(Logits(logit), SupportCalibration(**fields))


def test_with_a_learned_scorer_words_alone_and_it_alone_judge_too():
    sure, against = (judges(Analyzer(), scorer(one), scorer(one)) for one in (5.0, -5.0))
    reworded = "Otters slumber for much of the day."
    assert list(sure) == ["", "_by_words", "_by_scorer"]
    assert [sure[name](reworded, [OTTER]) for name in sure] == [True, False, True]
    assert [against[name](reworded, [OTTER]) for name in against] == [False, False, False]
    assert not against["_by_scorer"]("The otter sleeps five hours a day.", [OTTER])
    assert against[""]("The otter sleeps five hours a day.", [OTTER])


def test_code_is_not_asked_of_the_scorer():
    code = passage("Ask like this:\n\nSELECT 1;\n")
    supports = judges(Analyzer(), None, scorer(5.0))["_by_scorer"]
    assert supports("```sql\nSELECT 1;\n```", [code])
    assert not supports("```sql\nSELECT 2;\n```", [code])
