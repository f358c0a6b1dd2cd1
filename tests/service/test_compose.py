"""What becomes of checked sentences beside each other."""

from __future__ import annotations

from benchmarks.passages import Text, sources
from service.compose import Composer
from service.ground import check, parse
from service.question import Question
from store.analyzer import Analyzer

OTTER = "The otter sleeps five hours a day. It eats fish."
BADGER = "The badger digs. It weighs 12 kg."


def composed(*pieces):
    sent = sources([Text("Otter", OTTER), Text("Badger", BADGER)])
    composer = Composer(Question("r", "q"), sent)
    drafts = [parse(one, sent) for one in pieces]
    return [event for one in drafts for event in composer.compose(one, check(one, sent, Analyzer()))]


def test_a_pronoun_does_not_take_another_document_s_subject():
    said, withheld = composed("The otter sleeps five hours a day [1]. ", "It weighs 12 kg [2]. ")
    assert (said.verdict, withheld.reason) == ("supported", "fused_sources")


def test_a_pronoun_stands_for_what_its_own_document_said_before():
    assert [one.verdict for one in composed("The otter sleeps five hours a day [1]. ", "It eats fish [1]. ")] == [
        "supported",
        "supported",
    ]
    assert [one.verdict for one in composed("It weighs 12 kg [2]. ")] == ["supported"]


def test_a_withheld_sentence_in_between_lends_no_subject():
    first, _, last = composed("The badger digs [2]. ", "The otter digs [1]. ", "It weighs 12 kg [2]. ")
    assert (first.verdict, last.verdict) == ("supported", "supported")
