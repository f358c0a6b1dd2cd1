"""What a claim may not change: one lie of each kind, and honest rewordings that must pass."""

from __future__ import annotations

import pytest

from service.facts import conflict

LIES = [
    ("number_mismatch", "It holds 16 items.", "It holds 15 items."),
    ("number_mismatch", "It holds sixteen items.", "It holds 15 items."),
    ("number_mismatch", "It holds 1,500 items.", "It holds 15 items."),
    ("number_mismatch", "It costs 14 billion.", "It costs 14 million."),
    ("number_mismatch", "Version 15.2.1 mends it.", "Version 15.2 mends it."),
    ("number_mismatch", "It took twenty-five years.", "It took twenty years and five owners."),
    ("unit_mismatch", "The wait is 5 seconds.", "The wait is 5 ms."),
    ("unit_mismatch", "The wait is five hours.", "The wait is five minutes."),
    ("unit_mismatch", "It weighs 15kg.", "It weighs 15 g."),
    ("unit_mismatch", "It costs $40.", "It costs €40."),
    ("unit_mismatch", "It grew by 20 MB.", "It grew by 20 %."),
    ("date_mismatch", "It opened in June.", "It opened in July."),
    ("date_mismatch", "It is closed on Monday.", "It is closed on Sunday."),
    ("name_mismatch", "It was written by Anna Berg.", "It was written by Anna Lind."),
    ("name_mismatch", "The NASA probe landed.", "The ESA probe landed."),
    ("name_mismatch", "Set max_wal_size to raise it.", "Set min_wal_size to raise it."),
    ("opposite_mismatch", "Latency increased after the change.", "Latency decreased after the change."),
    ("opposite_mismatch", "It runs before the commit.", "It runs after the commit."),
    ("opposite_mismatch", "Prices are higher in the east.", "Prices are lower in the east."),
    ("opposite_mismatch", "The option is disabled by default.", "The option is enabled by default."),
    ("opposite_mismatch", "It is the maximum value.", "It is the minimum value."),
    ("modality_mismatch", "You must restart the server.", "You should restart the server."),
    ("modality_mismatch", "You must restart the server.", "You may restart the server."),
    ("modality_mismatch", "The drug reduces pain.", "The drug may reduce pain."),
    ("modality_mismatch", "It causes an error.", "It could cause an error."),
    ("scope_mismatch", "All members voted.", "Members voted."),
    ("scope_mismatch", "It always fails.", "It fails on Windows."),
    ("scope_mismatch", "Users can log in.", "Some users can log in."),
    ("scope_mismatch", "The index is used.", "The index is used unless the table is small."),
    ("scope_mismatch", "Only admins can read it.", "Admins can read it."),
]

HONEST = [
    ("It holds fifteen items.", "It holds 15 items."),
    ("It holds 1500 items.", "It holds 1,500 items."),
    ("It costs 14,000,000 euros.", "It costs €14 million."),
    ("There are twenty-five of them.", "There are 25 of them."),
    ("The wait is 5 ms.", "The wait is 5 milliseconds."),
    ("The wait is 5 ms.", "wait | 5"),
    ("It weighs 2.50 kg.", "It weighs 2.5 kilograms."),
    ("Herons stand in water.", "The heron stands in water."),
    ("In July, it opened.", "It opened in July."),
    ("It was written by Anna Lind.", "Anna Lind wrote it."),
    ("The ESA's probe landed.", "A probe of ESA landed."),
    ("You must restart the server.", "The server must be restarted."),
    ("You may restart it.", "It might be restarted."),
    ("Every member voted.", "All members voted."),
    ("It can be set at the start.", "It can be set at the start and the end."),
    ("Wait at least one second.", "Wait for at least a second."),
]


@pytest.mark.parametrize(("reason", "claim", "quote"), LIES, ids=[f"{claim} {quote}" for _, claim, quote in LIES])
def test_a_changed_fact_is_told(reason, claim, quote):
    assert conflict(claim, quote) == reason


@pytest.mark.parametrize(("claim", "quote"), HONEST, ids=[f"{claim} {quote}" for claim, quote in HONEST])
def test_an_honest_rewording_passes(claim, quote):
    assert conflict(claim, quote) is None


@pytest.mark.parametrize("text", sorted({quote for _, _, quote in LIES} | {text for pair in HONEST for text in pair}))
def test_a_text_never_contradicts_itself(text):
    assert conflict(text, text) is None


def test_a_header_lends_names_and_years_and_no_other_numbers():
    assert conflict("Anna Lind opened in 2023.", "She opened.", "Anna Lind: the year 2023") is None
    assert conflict("It has 40 rooms.", "It has rooms.", "Route 40") == "number_mismatch"


@pytest.mark.parametrize(
    "text", ["", " ", "5", "$", "1.2.3.4", "١٥ كغ", "東京は1400万人", "9" * 400, "1e999", "\x00", "'s ()"]
)
def test_odd_texts_break_nothing(text):
    assert conflict(text, text) is None
    conflict(text, "5 kg")
    conflict("5 kg in May", text)
