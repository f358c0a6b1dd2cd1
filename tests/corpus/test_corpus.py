"""The bundled corpus is what its README says: pages as published, questions whose quotes stand on their pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evaluation.sets import read_set
from indexer.load import load
from indexer.sources import parse_source, scan
from store.document import Document

CORPUS = Path(__file__).parents[2] / "corpus"


@pytest.fixture(scope="module")
def pages():
    found = {}
    for file in scan(parse_source(str(CORPUS / "pages"))):
        for document in load(file):
            assert isinstance(document, Document)
            found[document.id] = document
    return found


def letters(text):
    return re.sub(r"[\W_]+", "", text)


@pytest.mark.parametrize(("name", "answerable", "not_answerable"), [("evaluation", 60, 30), ("calibration", 40, 24)])
def test_sets_are_large_enough_and_judge_pages_that_exist(pages, name, answerable, not_answerable):
    questions = read_set(str(CORPUS / name))

    assert len(questions.judged) >= answerable
    assert sum(one.answerable is False for one in questions.questions) >= not_answerable
    assert {page for grades in questions.qrels.values() for page in grades} <= pages.keys()


@pytest.mark.parametrize("name", ["evaluation", "calibration"])
def test_every_quote_stands_in_the_text_of_a_page_judged_best(pages, name):
    questions = read_set(str(CORPUS / name))
    missing = [
        one.id
        for one in questions.judged
        if not any(letters(one.quote or "?") in letters(pages[page].text) for page in questions.qrels[one.id])
    ]

    assert missing == []


def test_no_question_is_in_both_sets():
    both = [
        {one.text.casefold() for one in read_set(str(CORPUS / name)).questions}
        for name in ("evaluation", "calibration")
    ]

    assert both[0] & both[1] == set()


def test_half_of_the_unanswerable_are_about_pages_that_were_left_out():
    import json

    rows = [json.loads(line) for line in (CORPUS / "evaluation" / "queries.jsonl").read_text().splitlines()]
    reasons = [row["reason"] for row in rows if row["answerable"] is False]
    left_out = [re.search(r"([\w-]+\.html)", reason) for reason in reasons if reason.startswith("left-out")]

    assert len(left_out) >= len(reasons) / 2
    assert all(found and not (CORPUS / "pages" / found.group(1)).exists() for found in left_out)
