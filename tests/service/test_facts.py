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
    ("scope_mismatch", "It is the largest lake of Asia.", "It is a large lake of Asia."),
    ("scope_mismatch", "It is the largest lake.", "It is one of the largest lakes."),
    ("opposite_mismatch", "At least 5 people came.", "At most 5 people came."),
    ("scope_mismatch", "Few members voted.", "Several members voted."),
    ("scope_mismatch", "It restarts.", "It restarts if the disk is full."),
    ("scope_mismatch", "It runs on all days.", "It runs on all days other than holidays."),
    ("opposite_mismatch", "The oldest bridge fell.", "The newest bridge fell."),
    ("modality_mismatch", "The drug reduces pain.", "The authors believe the drug reduces pain."),
    ("modality_mismatch", "It will restart.", "It can restart."),
    ("number_mismatch", "It was the second attempt.", "It was the third attempt."),
    ("number_mismatch", "It rose in the 19th century.", "It rose in the 18th century."),
    ("number_mismatch", "It held office from 1995 to 1990.", "It held office from 1990 to 1995."),
    ("number_mismatch", "Anna was born in 1995.", "Anna was born in 1990 and died in 1995."),
    ("number_mismatch", "It weighs 20 kg and is 20 cm long.", "It weighs 15 kg and is 20 cm long."),
    ("number_mismatch", "It opened on 2020-06-12.", "It opened on June 13, 2020."),
    ("unit_mismatch", "It grew by 5 percentage points.", "It grew by 5 %."),
    ("unit_mismatch", "It covers 190 hectares.", "It covers 190 acres."),
    ("unit_mismatch", "It ran 5 hours and slept 5 minutes.", "It ran 5 minutes and slept 5 minutes."),
    ("name_mismatch", "Anna Lind met Anna Lind in Rome.", "Anna Lind met Bea Roth in Rome."),
    ("name_mismatch", "Bea won the prize in Rome.", "Anna won the prize in Rome."),
    ("order_mismatch", "Beta acquired Alpha in Rome.", "Alpha acquired Beta in Rome."),
    ("order_mismatch", "Alpha was acquired by Beta in Rome.", "Alpha acquired Beta in Rome."),
    ("order_mismatch", "Rain fell because crops failed.", "Crops failed because rain fell."),
    ("order_mismatch", "The vote came before the debate.", "The debate came before the vote."),
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
    ("Beta was acquired by Alpha.", "Alpha acquired Beta."),
    ("In 1998, Anna opened the museum.", "Anna opened the museum in 1998."),
    ("Anna opened the museum.", "In 1998, Anna opened the museum."),
    ("It opened on 12 June 2020.", "It opened on June 12, 2020."),
    ("It opened on 2020-06-12.", "It opened on 12 June 2020."),
    ("It grew by 5 percent.", "It grew by 5 %."),
    ("The lake is deep.", "The lake is deep, which may explain its colour."),
    ("The lake (in the north) is deep.", "The lake (in the north) is deep."),
    ("The lake is deep.", "The lake (some say a pond) is deep."),
    ("Anna and Bea met.", "Bea and Anna met."),
    ("It was opened in May 1998 by Anna.", "In May 1998 it was opened by Anna."),
    ("Der See ist 12 m tief.", "Der See ist zw\u00f6lf Kilometer lang und 12 m tief."),
    (
        "\u6771\u4eac\u306f\u9996\u90fd\u3067\u3059\u3002",
        "\u6771\u4eac\u306f\u65e5\u672c\u306e\u9996\u90fd\u3067\u3059\u3002",
    ),
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


def test_what_takes_back_the_rest_is_not_left_out():
    quote = "The lake is deep, which is disputed and may be false."
    assert conflict("The lake is deep.", quote) == "modality_mismatch"


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
