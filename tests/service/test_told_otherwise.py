"""What a claim in words of its own tells otherwise, and what it may tell in other words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.facts import plain
from service.told_otherwise import told_otherwise


def told(claim, quote, header=""):
    return told_otherwise(plain(claim), plain(quote), header)


@pytest.mark.parametrize(
    ("claim", "quote", "reason"),
    [
        ("The cost was 5 million dollars.", "It was built for 5 million euros.", "unit_mismatch"),
        ("They invested 40 million pounds.", "An investment of 40 million dollars was made.", "unit_mismatch"),
        ("It covers 300 square miles.", "Its area is 300 square kilometres.", "unit_mismatch"),
        ("It covers 300 kilometres.", "Its area is 300 square kilometres.", "unit_mismatch"),
        ("The island lies 4 miles off.", "The island is 4 nautical miles from the coast.", "unit_mismatch"),
        ("A night costs 10 francs.", "A night costs 10 euros.", "unit_mismatch"),
        ("Nurses get 3,000 euros a week.", "Nurses earn 3,000 euros per month.", "unit_mismatch"),
        ("It is cleaned weekly.", "It is cleaned every day.", "unit_mismatch"),
        ("Output was halved.", "Output fell by 20 percent.", "number_mismatch"),
        ("The price quadrupled.", "The price doubled.", "number_mismatch"),
        ("Sales climbed by 3.2 billion dollars.", "Sales rose to 3.2 billion dollars.", "number_mismatch"),
        ("People eat it in the evening.", "It is eaten in the morning.", "date_mismatch"),
        ("The shop opens on weekends.", "The shop is open on weekdays.", "date_mismatch"),
        ("It closed down this year.", "It was closed last year.", "date_mismatch"),
        ("Columbus arrived after 1492.", "Columbus reached America in 1492.", "date_mismatch"),
        ("Until September 1939 there was war.", "In September 1939 war broke out.", "date_mismatch"),
        ("It gets going before 3 pm.", "The meeting begins at 3 pm.", "date_mismatch"),
        ("Yahoo acquired the site.", "Google bought YouTube in 2006.", "name_mismatch"),
        ("Anna Lopez became minister.", "Maria Lopez was made minister.", "name_mismatch"),
        ("Settings come from settings.yaml.", "The settings are read from config.yaml.", "name_mismatch"),
        ("Italy defeated Brazil.", "In the final Brazil beat Italy.", "order_mismatch"),
        ("YouTube acquired Google.", "Google bought YouTube.", "order_mismatch"),
        ("The call gives back null.", "The function returns false.", "opposite_mismatch"),
        ("Buyers have to pay in 14 days.", "Buyers get their money in 14 days.", "modality_mismatch"),
    ],
)
def test_it_is_seen(claim, quote, reason):
    assert told(claim, quote) == reason
    assert told(quote, quote) is None, "a sentence tells what it tells"


@pytest.mark.parametrize(
    ("claim", "quote"),
    [
        ("It cost 5,000,000 euros.", "It was built for 5 million euros."),
        ("Half of them failed.", "50 percent of them failed."),
        ("Each month nurses get 3,000 euros.", "Nurses earn 3,000 euros per month."),
        ("It is cleaned daily.", "It is cleaned every day."),
        ("It was twice as large.", "Its size had doubled."),
        ("YouTube was bought by Google.", "Google bought YouTube."),
        ("Brazil beat Italy.", "Italy was beaten by Brazil."),
        ("Refunds arrived in 1492.", "In 1492 money was paid back."),
        ("Doctors advised rest.", "Rest was recommended by Smith."),
        ("Snowfall shut the bridge.", "The bridge was closed because of snow on Berlin's side."),
        ("Users have to log in.", "Users must log in."),
        ("It has nothing to do with it, they have to do with heat.", "It is about heat."),
        ("The three dogs ate.", "3 dogs had food, and 3 km were walked."),
        ("", "A sentence."),
        ("A sentence.", ""),
    ],
)
def test_other_words_for_the_same_are_not(claim, quote):
    assert told(claim, quote) is None


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_two_texts_are_compared(claim, quote):
    told(claim, quote, quote)


@given(st.text(alphabet="aA1 .-€", max_size=400))
def test_no_text_speaks_against_itself(text):
    assert told(text, text) is None
