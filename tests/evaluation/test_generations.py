"""What chat models wrote is kept whole or not at all, and asked for once."""

from __future__ import annotations

import asyncio

import pytest

from evaluation.generations import Generation, Generations, Kept, key_of
from service.adapters.generator import Ended, GeneratorFailed, Told
from service.contract import DocumentHeaderModel, PassageModel, Result, Scores, Usage
from store.errors import UsageError

MODEL = Usage(provider="openai", model="m")
SPENT = Usage(provider="openai", model="m", prompt_tokens=7, completion_tokens=3, cost_usd=0.25)


def source(text="Otters sleep.", title="Otters", section=("Nights",)):
    return Result(
        rank=1,
        score=1.0,
        scores=Scores(dense=None, lexical=None, fused=1.0, rerank=None),
        passage=PassageModel(id="p", document_id="d", text=text, start=0, end=9, page=None, section=list(section)),
        document=DocumentHeaderModel(id="d", version="v", title=title, url=None, metadata={}),
    )


class Writer:
    """Yields pieces, raises where one is an error; counts how often it was asked."""

    def __init__(self, *pieces, usage=MODEL):
        self.pieces, self.usage, self.asked = pieces, usage, 0

    async def generate(self, question, sources, evidence):  # it was told what to say
        self.asked += 1
        for one in self.pieces:
            if isinstance(one, Exception):
                raise one
            yield one


def pieces_of(generator, question="How?", sources=()):
    async def run():
        return [one async for one in generator.generate(question, sources or (source(),), [])]

    return asyncio.run(run())


@pytest.fixture
def file(tmp_path):
    return tmp_path / "new" / "kept.jsonl"


def test_a_second_run_is_told_the_same_and_the_model_is_not_asked(file):
    writer = Writer("Otters ", "sleep [1].", Ended(SPENT, "length"))
    kept = Kept(writer, Generations(file))
    assert kept.usage == MODEL
    assert pieces_of(kept) == ["Otters ", "sleep [1].", Ended(SPENT, "length")]
    again = Kept(writer, Generations(file))
    assert pieces_of(again) == ["Otters sleep [1].", Ended(SPENT, "length")]
    assert writer.asked == 1


@pytest.mark.parametrize(
    "pieces",
    [
        ("Otters",),
        ("Otters", GeneratorFailed("openai", "timeout")),
        (Told("m failed; sentences of the passages instead"), "Otters sleep.", Ended(MODEL)),
    ],
    ids=["without its end", "failed", "another stood in"],
)
def test_what_is_not_the_model_s_whole_text_is_asked_for_again(file, pieces):
    writer, known = Writer(*pieces), Generations(file)
    for _ in range(2):
        try:
            pieces_of(Kept(writer, known))
        except GeneratorFailed:
            continue
    assert (writer.asked, len(known), file.read_text()) == (2, 0, "")


def test_who_stops_reading_keeps_nothing(file):
    async def run():
        pieces = Kept(Writer("a", "b", Ended(MODEL)), Generations(file)).generate("How?", [source()], [])
        await anext(pieces)
        await pieces.aclose()

    asyncio.run(run())
    assert file.read_text() == ""


@pytest.mark.parametrize(
    "other",
    [
        {"question": "Why?"},
        {"sources": (source("Otters eat."),)},
        {"sources": (source(title="Beavers"),)},
        {"sources": (source(section=()),)},
        {"sources": (source(), source("Otters eat."))},
        {"usage": Usage(provider="openai", model="n")},
    ],
    ids=["question", "text", "title", "section", "one more", "model"],
)
def test_another_question_passage_or_model_is_asked(file, other):
    usage = other.pop("usage", MODEL)
    known = Generations(file)
    pieces_of(Kept(Writer("a", Ended(MODEL)), known))
    writer = Writer("b", Ended(usage), usage=usage)
    assert pieces_of(Kept(writer, known), **other)[0] == "b"
    assert (writer.asked, len(known)) == (1, 2)


def test_a_line_that_was_cut_off_is_left_out_and_the_rest_goes_on(file):
    pieces_of(Kept(Writer("a", Ended(MODEL)), Generations(file)))
    whole = file.read_bytes()
    for cut in (1, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole + whole[:cut])
        known = Generations(file)
        pieces_of(Kept(Writer("b", Ended(MODEL)), known), question="Why?")
        assert len(Generations(file)) == 2


@pytest.mark.parametrize("content", [b"no json\n", b'{"key": "k"}\n', b"\xff\xfe\n"])
def test_a_file_of_something_else_is_refused_and_left_alone(file, content):
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(UsageError, match="--generations"):
        Generations(file)
    assert file.read_bytes() == content


def test_a_folder_or_a_file_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match="cannot be used"):
            Generations(path)


def test_a_key_says_nothing_of_rank_and_everything_of_order():
    first, second = source(), source("Otters eat.")
    assert key_of(MODEL, "How?", [first]) == key_of(MODEL, "How?", [first.model_copy(update={"rank": 3})])
    assert key_of(MODEL, "How?", [first, second]) != key_of(MODEL, "How?", [second, first])


def test_odd_text_comes_back_as_it_was(file):
    text = "a\u2028b\n\x00\U0001f9a6"
    Generations(file).add(Generation(key="k", question=text, text=text, reason="stop", usage=MODEL))
    found = Generations(file).find("k")
    assert found is not None
    assert (found.text, found.question) == (text, text)
