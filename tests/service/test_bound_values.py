"""Which number is whose: lies that give one to the other's, and honest sentences in as many other words."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.passages import Text, sources
from service.bound_values import values_exchanged
from service.facts import plain
from service.ground import Draft, check
from store.analyzer import Analyzer

TURBINES = "The plant made 120 turbines in 2001 and 450 in 2005."
TRIAL = "In the trial, 34% of patients on the drug improved, compared with 21% on placebo."
NAUSEA = "Nausea occurred in 12 patients given the drug and 5 given placebo."
TOWNS = "Alton has 4,000 inhabitants and Berwick has 9,000."
FOUNDED = "Alton was founded in 1820, Berwick in 1754."
TIMEOUTS = "The connect timeout is 10 seconds and the read timeout is 60 seconds."
CLASSES = "Storage class A retains data for 30 days and storage class B for 365 days."
RISES = "Tesla raised sales by 18% in China and by 6% in Europe."
PLANS = "The Basic plan costs $10 a month, while the Pro plan costs $25 a month."


@pytest.mark.parametrize(
    ("quote", "claim"),
    [
        (TURBINES, "The plant made 450 turbines in 2001 and 120 in 2005."),
        (TURBINES, "In 2001 the plant made 450 turbines, in 2005 only 120."),
        (TURBINES, "Turbine output reached 450 in 2001."),
        (TURBINES, "In 2005 the plant made 120 turbines."),
        (TRIAL, "34% of patients on placebo improved."),
        (TRIAL, "34 percent of patients on placebo improved."),
        (TRIAL, "Improvement was seen in 21% of those taking the drug and 34% of those taking placebo."),
        (TRIAL, "On placebo, 34% got better."),
        (TRIAL, "The drug helped 21% of patients."),
        (NAUSEA, "Of patients given placebo, 12 had nausea."),
        (NAUSEA, "Twelve of those on placebo had nausea."),
        (TOWNS, "Alton has 9,000 inhabitants and Berwick has 4,000."),
        (TOWNS, "Berwick is home to 4,000 people."),
        (FOUNDED, "Berwick dates from 1820 and Alton from 1754."),
        (FOUNDED, "Berwick was founded in 1820."),
        (TIMEOUTS, "Reads time out after 10 seconds."),
        (PLANS, "Pro customers pay $10 monthly."),
        (TOWNS, "Alton and Berwick have 9,000 and 4,000 inhabitants respectively."),
        (TRIAL, "After 24 months, 34% on placebo had improved."),
        (CLASSES, "Class B keeps data for 30 days."),
        (CLASSES, "Storage class B retains data for 30 days and storage class A for 365 days."),
        (RISES, "Tesla raised sales by 18% in Europe."),
    ],
)
def test_a_number_given_to_what_has_another_is_no_support(quote, claim):
    assert values_exchanged(plain(claim), plain(quote))
    draft = Draft(claim, (1,), "", "")
    assert check(draft, sources([Text("", quote)]), Analyzer()).verdict == "unsupported"


@pytest.mark.parametrize(
    ("quote", "claim"),
    [
        (TURBINES, TURBINES),
        (TURBINES, "Production stood at 120 turbines in 2001 and had grown to 450 by 2005."),
        (TURBINES, "Output was 120 in 2001, far below the 450 of 2005."),
        (TRIAL, "Improvement was seen in 34% of those taking the drug and 21% of those taking placebo."),
        (TRIAL, "Compared with placebo, 34% improved."),
        (TRIAL, "Unlike with placebo, 34% improved with the drug."),
        (TRIAL, "Only 21% on placebo got better, against 34% on the drug."),
        (NAUSEA, "5 of those on placebo had nausea."),
        (TOWNS, "Berwick, with 9,000 inhabitants, is larger than Alton, with 4,000."),
        (TOWNS, "Alton, a town of 4,000, is smaller than Berwick."),
        (FOUNDED, "Berwick was founded in 1754, before Alton in 1820."),
        (TIMEOUTS, "Reads time out after 60 seconds."),
        (PLANS, "Pro costs $25 a month and Basic $10."),
        (TOWNS, "Alton and Berwick have 4,000 and 9,000 inhabitants respectively."),
        (TOWNS, "The inhabitants of Alton and Berwick are 4,000 and 9,000."),
        (TRIAL, "The rates of improvement on the drug and placebo were 34% and 21%."),
        (TRIAL, "Improvement was seen in 34%, though not on placebo."),
        (TRIAL, "More than on placebo improved, with 34%."),
        (RISES, "Tesla's European sales rose by 6%."),
        (CLASSES, "Class B keeps data for 365 days; class A keeps data for 30 days."),
        (
            "Profit was 275 million euros in March and 310 million euros in June.",
            "Since March profit rose to 310 million.",
        ),
        (
            "Men earned 52,000 dollars and women earned 47,000 dollars.",
            "Men earned more than women with 52,000 dollars.",
        ),
        (
            "Men earned 52,000 dollars and women earned 47,000 dollars.",
            "Men and women earned 52,000 dollars and 47,000 dollars.",
        ),
        (
            "The tower was built in 1931 and the bridge was completed in 1958.",
            "The bridge, built in 1958, came after the tower, completed in 1931.",
        ),
        ("The pool keeps 20 connections, and 20 are kept by each worker.", "Each worker keeps 20."),
        ("An area of 5 m² and one of 7 m² are free.", "7 m² are free."),
        ("", "Only 5 on placebo."),
        ("Nothing is counted here.", "5 of them."),
    ],
)
def test_a_number_given_to_its_own_in_other_words_is_no_conflict(quote, claim):
    assert not values_exchanged(plain(claim), plain(quote))


def test_a_table_in_one_line_costs_little():
    line = ", ".join(f"Town{number} has {number % 7} shops and {number} roads" for number in range(1_000))
    began = time.process_time()
    assert not values_exchanged(line, line)
    assert not values_exchanged("Town3 has 5 shops.", line)
    assert time.process_time() - began < 1


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_is_read(claim, quote):
    assert values_exchanged(claim, quote) in (True, False)


@given(st.text(alphabet="ab12 ,%$.AB", max_size=80))
def test_no_sentence_speaks_against_itself(text):
    assert not values_exchanged(text, text)
