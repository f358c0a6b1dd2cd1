"""What a model may write where its server holds it to a grammar; and JSON answers as they arrive."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.generator import GeneratorFailed
from service.adapters.grammar import SentencesJson, gbnf, json_schema
from service.adapters.prompt import REFUSAL


def read(chunks):
    reading = SentencesJson("openai")
    return [text for chunk in chunks for text in reading.feed(chunk)] + list(reading.finish())


def answer(*sentences):
    return json.dumps({"sentences": [{"text": text, "sources": sources} for text, sources in sentences]})


def test_only_ids_that_were_sent_are_in_either_grammar():
    assert 'marker ::= "[" ("1" | "2" | "3") "]"' in gbnf(3)
    items = json_schema(3)["properties"]["sentences"]["items"]["properties"]["sources"]["items"]
    assert items == {"type": "integer", "enum": [1, 2, 3]}


def test_words_with_a_stop_inside_are_those_of_the_passages():
    assert 'dotted ::= "postgresql.conf" | "e.g." | "Dr."\n' in gbnf(
        1, "Set postgresql.conf, e.g. as Dr. Who did. End."
    )
    assert "dotted" not in gbnf(1, "Plain. Words.")


@given(st.data())
def test_however_it_is_cut_each_sentence_comes_with_its_markers(data):
    text = answer(('It says "}]" and \\ {x}.', [1, 2]), ("Über 東京.", []), ("", [1]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    chunks = [text[left:right] for left, right in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read(chunks) == ['It says "}]" and \\ {x}. [1][2]\n', "Über 東京.\n"]


def test_a_sentence_comes_when_its_object_closes():
    reading = SentencesJson("openai")
    assert list(reading.feed('{"sentences": [{"text": "One.", "sources": [1')) == []
    assert list(reading.feed("]}")) == ["One. [1]\n"]


def test_an_answer_that_is_cut_off_keeps_its_whole_sentences():
    assert read([answer(("One.", [1]), ("Two.", [2]))[:-12]]) == ["One. [1]\n"]


def test_no_sentence_is_the_refusal():
    assert read(['{"sentences": []}']) == [REFUSAL]


def test_a_server_that_takes_no_schema_writes_text_as_ever():
    assert read(["  The otter", " sleeps {5} [1]."]) == ["  The otter", " sleeps {5} [1]."]
    assert read(["{ not quite"]) == ["{ not quite"]
    assert read([""]) == []


@pytest.mark.parametrize(
    "body",
    ['{"sentences": [7', '{"sentences": [{"text": 5}', '{"sentences": ["x"', '{"sentences": [' + "[" * 15_000 + "]"],
)
def test_what_is_no_sentence_is_a_bad_response(body):
    with pytest.raises(GeneratorFailed) as failed:
        read([body, "}", " " * 20_001])
    assert failed.value.reason == "bad_response"


def test_sources_that_are_no_numbers_are_no_markers():
    assert read(['{"sentences": [{"text": "One.", "sources": ["1", true, null, 2.5, 3]}]}']) == ["One. [3]\n"]
    assert read(['{"sentences": [{"text": "One."}]}']) == ["One.\n"]
