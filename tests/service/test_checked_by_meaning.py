"""What the learned scorer decides in the guardrail, and what it is never asked."""

from __future__ import annotations

import pytest

from service.contract import DocumentHeaderModel, PassageModel, Result, Scores
from service.ground import REPAIRS_MAX, check, parse
from service.verifier import SupportCalibration, Verifier
from store.analyzer import Analyzer

CALIBRATION = SupportCalibration(intercept=0.0, slope=1.0, threshold=0.5, accept_from=0.9)
SURE, UNSURE, AGAINST = 5.0, 0.0, -5.0
OTTER = "The otter sleeps five hours a day. It is woken by the tide."
PASSAGES = (OTTER, "Beavers build dams.", "Herons stand in water.", "Otters rest after meals.", "Seals sleep at sea.")


class Told:
    """Stands in for a model: one logit for parts that hold a word, another for the rest; keeps what it was asked."""

    name = "told"

    def __init__(self, logit, *, word="", otherwise=AGAINST):
        self.logit, self.word, self.otherwise = logit, word, otherwise
        self.asked = []

    def score(self, question, texts):
        self.asked.append((question, list(texts)))
        return [self.logit if self.word in text else self.otherwise for text in texts]


def result(text, number):
    passage = PassageModel(
        id=f"p{number}", document_id=f"d{number}", text=text, start=0, end=len(text), section=["Life"]
    )
    header = DocumentHeaderModel(id=f"d{number}", version="v", title="Animals", metadata={})
    return Result(rank=number, score=1.0, scores=Scores(fused=1.0), passage=passage, document=header)


def judged(text, model, passages=PASSAGES):
    sources = [result(passage, number) for number, passage in enumerate(passages, 1)]
    verifier = None if model is None else Verifier(model, CALIBRATION)
    return check(parse(text, sources), sources, Analyzer("english"), verifier)


FAR = "This animal is asleep for much of its time [1]."


def test_a_far_rewording_passes_where_the_scorer_is_sure_and_cites_a_whole_sentence():
    model = Told(SURE)
    found = judged(FAR, model)
    assert found.verdict == "supported"
    (support,) = found.supports
    assert OTTER[support.start : support.end] == "The otter sleeps five hours a day."
    assert support.score == found.score == pytest.approx(0.9933, abs=1e-3)
    ((claim, (part,)),) = model.asked
    assert claim == "This animal is asleep for much of its time."
    assert part == "Animals Life\nThe otter sleeps five hours a day."


def test_hard_checks_are_of_the_sentence_that_says_most_of_it():
    passage = "The heron may fly at night. The otter sleeps five hours. No dog is fed."
    model = Told(SURE)
    found = judged("This otter sleeps soundly through a good many hours [1].", model, [passage])
    assert found.verdict == "supported"  # neither "may" nor "no" is said of it
    assert passage[slice(found.supports[0].start, found.supports[0].end)] == "The otter sleeps five hours."


@pytest.mark.parametrize(
    "claim", ["Das Tier schläft die meiste Zeit des Tages und der Nacht.", "这种动物大部分时间都在睡觉。"]
)
def test_the_scorer_is_not_asked_of_other_languages(claim):
    model = Told(SURE)
    sources = [result(OTTER, 1)]
    analyzer = Analyzer("english", "german", detects=True)
    found = check(parse(f"{claim[:-1]} [1]{claim[-1]}", sources), sources, analyzer, Verifier(model, CALIBRATION))
    assert found.verdict == "unsupported"
    assert model.asked == []


@pytest.mark.parametrize(
    ("passage", "lie"),
    [
        ("Fees may be waived for the poorest.", "Whoever has nothing must be let off paying [1]."),
        ("Customers get their money back within 14 days.", "Buyers have to pay inside of 14 days [1]."),
        ("The treaty was signed by Bohr in 1912.", "His name was put to the pact by Einstein [1]."),
        ("The tank holds 12 litres of water.", "As much as 21 litres fit into it [1]."),
        ("The trail is open on 3 May.", "Walkers may use the path in June [1]."),
        ("The road rises by 300 metres.", "It climbs 300 feet in all [1]."),
        ("They failed to deliver the parcel.", "The package made it: they did deliver [1]."),
        ("Myth: butter helps to heal burns.", "It is good for treating burned skin [1]."),
        ("Never do this:\n\n- Pour solvents into the sink.", "Solvents go down the drain [1]."),
        ("Does the phone survive salt water?", "It withstands being dropped into the sea [1]."),
        ("The rate will increase.", "A decrease of what is charged is ahead [1]."),
    ],
)
def test_what_is_named_otherwise_is_not_asked_in_whatever_words(passage, lie):
    model = Told(SURE)
    found = judged(lie, model, [passage])
    assert (found.verdict, found.reason) == ("unsupported", "not_supported")
    assert model.asked == []


def test_the_other_order_of_a_far_rewording_and_its_scope_are_the_scorers_to_judge():
    passage = "Some of the herons that live at the lake are fed by the wardens every morning."
    model = Told(SURE)
    found = judged("Wardens give breakfast to each of a number of birds there [1].", model, [passage])
    assert found.verdict == "supported"
    assert len(model.asked) == 1


def test_a_source_without_a_sentence_supports_nothing():
    model = Told(SURE)
    assert judged(FAR, model, [" \n "]).verdict == "unsupported"
    assert model.asked == []


@pytest.mark.parametrize("model", [Told(UNSURE), None])
def test_it_is_withheld_where_the_scorer_is_unsure_or_missing(model):
    found = judged(FAR, model)
    assert (found.verdict, found.reason) == ("unsupported", "not_supported")


def test_what_stands_there_word_for_word_is_not_asked():
    model = Told(AGAINST)
    assert judged("The otter sleeps five hours a day [1].", model).verdict == "supported"
    assert model.asked == []


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ("The otter sleeps six hours a day [1].", "number_mismatch"),
        ("This animal rests for 9 hours [1].", "not_supported"),
        ("The otter never sleeps five hours a day [1].", "negation_mismatch"),
    ],
)
def test_a_hard_check_is_not_overruled(lie, reason):
    found = judged(lie, Told(SURE))
    assert (found.verdict, found.reason) == ("unsupported", reason)


def test_what_words_decide_is_not_asked_either_way():
    model = Told(AGAINST)
    assert judged("Five hours a day the otter sleeps [1].", model).verdict == "supported"
    sure = Told(SURE)
    found = judged("The otter sleeps five quiet hours a day [1].", sure, passages=PASSAGES[:1])
    assert (found.verdict, found.reason) == ("unsupported", "not_supported")
    assert model.asked == sure.asked == [], "one word of its own is what a sentence adds"


def test_words_of_several_sentences_made_into_one_are_not_asked():
    model = Told(SURE)
    text = "Otters rest after meals. The pool is cold. Herons eat at night."
    found = judged("Meals in a cold pool are for herons [1].", model, passages=(text,))
    assert (found.verdict, found.reason) == ("unsupported", "not_supported")
    assert model.asked == []


def test_a_marker_is_repaired_by_meaning_among_the_nearest_only():
    model = Told(SURE, word="otter sleeps")
    found = judged("The otter dozes [2].", model)
    assert found.verdict == "supported"
    assert found.repaired
    assert [one.source for one in found.supports] == [1]
    assert [len(parts) for _, parts in model.asked] == [REPAIRS_MAX]  # what is cited says nothing of an otter


def test_code_is_not_asked():
    model = Told(SURE)
    assert judged("```\nsleep(5)\n```\n[1]", model).reason == "code_not_exact"
    assert model.asked == []


def test_no_source_is_no_question():
    model = Told(SURE)
    assert judged(FAR, model, passages=()).reason == "unknown_marker"
    assert [parts for _, parts in model.asked if parts] == []
