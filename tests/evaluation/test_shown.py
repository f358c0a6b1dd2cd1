"""Titles and snippets are kept of what may be shown, and of nothing else."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from evaluation.shown import SNIPPET_CHARS, Shown, snippet
from store.index import IndexDirectory


def test_only_the_first_ten_of_a_ranking_are_kept_with_their_best_passage():
    shown = Shown()
    ranking = [f"d{number}" for number in range(30)]

    shown.note(ranking, [(one, one.upper(), f"best of {one}") for one in ranking] + [("d0", "D0", "another passage")])
    shown.note(["d0", "d29"], [("d0", "D0", "for another question"), ("d29", "D29", "found late")])

    assert set(shown.texts) == {*ranking[:10], "d29"}
    assert shown.texts["d0"] == {"title": "D0", "snippet": "best of d0"}


def test_relevant_documents_are_looked_up_and_those_that_are_not_there_stay_unknown(small_index):
    shown = Shown()
    with ThreadPoolExecutor(1) as executor:
        snapshot = IndexDirectory(small_index).open(executor)
        asyncio.run(shown.add_relevant({"q": {"cats": 1, "gone": 2, "secret": 1}}, snapshot))
        snapshot.close()

    assert set(shown.texts) == {"cats"}  # secret: not for everybody
    assert shown.texts["cats"]["snippet"].startswith("A cat is a small animal. Cats sleep for most of the day. They")


@pytest.mark.parametrize("text", ["word " * 500, "x" * 5000, "東京" * 3000, "\n\n a \t b "])
def test_a_snippet_is_one_short_line(text):
    found = snippet(text)

    assert len(found) <= SNIPPET_CHARS + 4
    assert "\n" not in found
    assert found.removesuffix(" ...") in " ".join(text.split())
