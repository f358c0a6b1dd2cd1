"""What an answer is made from: places are shared out, copies count once, and nothing is lost while there is room."""

from __future__ import annotations

from service.context import context
from service.contract import DocumentHeaderModel, PassageModel, Result, Scores
from store.analyzer import Analyzer

TREES = "alder birch cedar dogwood elm fir ginkgo hazel ivy juniper katsura larch maple nutmeg oak pine"
WORDS = TREES.split(" ")


def result(rank, document, text):
    passage = PassageModel(id=f"p{rank}", document_id=document, text=text, start=0, end=len(text), section=[])
    header = DocumentHeaderModel(id=document, version="v", title="", metadata={})
    return Result(rank=rank, score=1 / rank, scores=Scores(fused=1 / rank), passage=passage, document=header)


def ranked(*documents):
    """Passages of these documents, each saying something of its own."""
    texts = (" ".join(f"{word}{rank}" for word in WORDS) for rank in range(len(documents)))
    return [result(rank, one, text) for rank, (one, text) in enumerate(zip(documents, texts, strict=True), 1)]


def ranks(results, count=5, per_document=2):
    return [one.rank for one in context(results, count, per_document, Analyzer("english"))]


def test_the_first_ones_where_nothing_speaks_against_them():
    assert ranks(ranked("a", "b", "c", "d", "e", "f", "g")) == [1, 2, 3, 4, 5]
    assert ranks([]) == []


def test_one_document_leaves_places_to_others():
    assert ranks(ranked("a", "a", "a", "a", "b", "c", "d")) == [1, 2, 5, 6, 7]


def test_it_gets_them_back_where_nobody_wants_them():
    assert ranks(ranked("a", "a", "a", "a", "a", "a", "a")) == [1, 2, 3, 4, 5]
    assert ranks(ranked("a", "a", "a", "a", "b")) == [1, 2, 3, 4, 5]


def test_a_flood_of_copies_fills_one_place():
    flood = " ".join(WORDS)
    copies = [result(rank, f"flood{rank}", f"{flood} number{rank}") for rank in range(1, 9)]
    honest = [result(rank, f"honest{rank}", " ".join(f"{word}{rank}" for word in WORDS)) for rank in range(9, 12)]
    assert ranks([*copies, *honest]) == [1, 9, 10, 11]


def test_what_only_shares_words_is_no_copy():
    one, other = " ".join(WORDS), " ".join(reversed(WORDS))
    assert ranks([result(1, "a", one), result(2, "b", other)]) == [1, 2]


def test_very_short_passages_are_compared_too():
    assert ranks([result(1, "a", "elm"), result(2, "b", "Elm!"), result(3, "c", "oak")]) == [1, 3]


DOSE = (
    "Give the child of this age at most 50 mg of it a day and never more than 3 days in a row without a doctor. "
    "Keep the bottle in a cool dry place, shake well before use, and wash the spoon in warm water afterwards."
)


def test_a_copy_with_another_figure_does_not_hide_the_passage_it_was_made_of():
    poisoned = result(1, "evil", DOSE.replace("50 mg", "500 mg"))
    assert ranks([poisoned, result(2, "good", DOSE), result(3, "good too", DOSE)]) == [1, 2]
    assert ranks([result(1, "evil", DOSE.replace("never ", "")), result(2, "good", DOSE)]) == [1, 2]
    assert ranks([result(1, "evil", DOSE.replace("Give", "You may give")), result(2, "good", DOSE)]) == [1, 2]


def test_a_flood_of_copies_with_figures_of_their_own_fills_two_places():
    copies = [result(rank, f"flood{rank}", DOSE.replace("50", str(50 + rank))) for rank in range(1, 9)]
    assert ranks([*copies, *ranked(*"abcdefghijkl")[8:]]) == [1, 2, 9, 10, 11]
