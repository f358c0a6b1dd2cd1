"""The analyzer: which terms a text has, the same on both sides and in every thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.analyzer import Analyzer

ENGLISH = Analyzer()


@pytest.mark.parametrize("name", ["", "english", "other:english", "unicode-bigram-1:", "unicode-bigram-2:auto:"])
def test_a_name_that_this_program_does_not_have_is_refused_by_name(name):
    with pytest.raises(ValueError, match=f"unknown analyzer {name!r}"):
        Analyzer.from_name(name)


def test_an_unknown_language_is_refused_and_the_known_ones_listed():
    with pytest.raises(ValueError, match=r"'klingon'.*none.*english.*german"):
        Analyzer("klingon").terms("word")


@pytest.mark.parametrize("language", ["english", "german", "none"])
def test_an_analyzer_survives_its_name(language):
    again = Analyzer.from_name(Analyzer(language).name)
    text = "The running cats, Häuser und 東京"
    assert again.terms(text) == Analyzer(language).terms(text)


def test_analyzers_of_one_name_are_one_key_and_others_are_not():
    names = ["unicode-bigram-1:english", "unicode-bigram-2:english", "unicode-bigram-2:auto:english"]
    names += ["unicode-bigram-2:german", "unicode-bigram-2:auto:english+german", "unicode-bigram-2:auto:german+english"]
    made = [Analyzer.from_name(name) for name in names * 2]
    assert [one.name for one in made] == names * 2
    assert len(set(made)) == len(names)
    assert made[0] != names[0]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("?! — 😀", []),
        ("the of and THE", []),
        ("Running runs", ["run", "run"]),
        ("Cats CAT", ["cat", "cat"]),
        ("ＦＵＬＬ width", ["full", "width"]),
        ("東京", ["東京"]),
        ("東", ["東"]),
        ("東京都", ["東京", "京都"]),
        ("日本語 text", ["日本", "本語", "text"]),
        ("ภาษา", ["ภา", "าษ", "ษา"]),
        ("error 42P01", ["error", "42p01"]),
    ],
)
def test_terms_of_a_text(text, terms):
    assert ENGLISH.terms(text) == terms


@pytest.mark.parametrize(
    ("question", "terms"),
    [
        ("How do I limit connections?", ["limit", "connect"]),
        ("What\u2019s the WAL", ["wal"]),
        ("what does WHO recommend", ["who", "recommend"]),  # in capitals it is a name
        ("what can I do", ["what", "can", "i", "do"]),  # nothing else is left
        ("who am i", ["who", "am", "i"]),
        ("", []),
    ],
)
def test_words_that_only_frame_a_question_are_not_looked_up(question, terms):
    assert ENGLISH.question_terms(question) == terms


def test_a_question_is_looked_up_by_terms_of_its_text_in_any_language():
    assert Analyzer("german").question_terms("Wie geht das?") == Analyzer("german").terms("Wie geht das?")


def test_a_name_with_underscores_is_found_by_the_name_and_by_its_parts():
    terms = ENGLISH.terms("max_connections")
    assert set(ENGLISH.terms("max connection")) < set(terms)
    assert len(terms) == 3


def test_the_language_none_neither_stems_nor_stops():
    assert Analyzer("none").terms("The running cats") == ["the", "running", "cats"]


def test_a_term_is_cut_at_128_characters():
    (term,) = Analyzer("none").terms("a" * 10_000)
    assert len(term) == 128


@given(st.text())
def test_terms_are_words_without_spaces_and_case_does_not_matter(text):
    terms = ENGLISH.terms(text)
    assert all(term and not any(char.isspace() for char in term) for term in terms)
    assert ENGLISH.terms(text.casefold()) == terms


def test_threads_agree():
    texts = [f"running {n} connections were reestablished by the organizers" for n in range(200)]
    alone = [ENGLISH.terms(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ENGLISH.terms, texts)) == alone


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("german", "Häuser", "HAUS"),
        ("german", "Haeuser", "Häuser"),
        ("german", "Straße", "STRASSE"),
        ("german", "Grund\u00adstücke", "Grundstück"),  # a soft hyphen
        ("russian", "ёлки", "елка"),
        ("arabic", "مُحَمَّد", "محمد"),  # vowel signs
        ("arabic", "المـــدرسة", "مدرسة"),  # tatweel, the article
        ("arabic", "أحمد", "احمد"),
        ("persian", "كتاب", "کتاب"),  # Arabic keyboard
        ("persian", "کتاب\u200cهای", "کتاب های"),
        ("greek", "Ελλάδας", "ΕΛΛΑΔΑ"),
        ("greek", "άνθρωπος", "ανθρώπου"),
        ("turkish", "İSTANBUL'da", "istanbul"),
        ("turkish", "IŞIK", "ışık"),
        ("french", "l\u2019économie", "économie"),
        ("italian", "dell'università", "Università"),
        ("catalan", "d'Espanya", "Espanya"),
        ("romanian", "oraşe", "orașul"),  # cedilla and comma
        ("hindi", "लड़कियों", "लडकी"),
        ("hindi", "भाषाएँ", "भाषा"),
        ("spanish", "canciones", "CANCIÓN"),
        ("polish", "państwem", "państwo"),
        ("none", "Việt", "Vie\u0323\u0302t"),
        ("none", "\u202eabc\u202c", "abc"),
    ],
)
def test_forms_of_a_word_share_a_term_in_their_language(language, one, other):
    assert Analyzer(language).terms(one) == Analyzer(language).terms(other)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("german", "der die das und ist"),
        ("french", "qu'il est dans le"),
        ("turkish", "ve bir için"),
        ("hindi", "है और में"),
    ],
)
def test_stop_words_have_no_terms_in_their_language(language, text):
    assert Analyzer(language).terms(text) == []
    assert len(Analyzer("none").terms(text)) > 2


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("한국어", ["한국", "국어"]),
        ("カタカナ・テスト", ["カタ", "タカ", "カナ", "テス", "スト"]),
        ("ｶﾀｶﾅ", ["カタ", "タカ", "カナ"]),
        ("人々", ["人々"]),
        ("ราคา ๑๒ ฿", ["รา", "าค", "คา", "๑๒"]),
        ("हिन्दी", ["हिन्दी"]),
        ("e\u0301te\u0301 q\u0303x", ["été", "q\u0303x"]),
    ],
)
def test_scripts_fall_into_words_or_bigrams(text, terms):
    assert Analyzer("none").terms(text) == terms


class TestTheFirstScheme:
    """Indexes made with it must be asked as they were made."""

    OLD = Analyzer.from_name("unicode-bigram-1:english")

    def test_keeps_its_name_and_terms(self):
        assert self.OLD.name == "unicode-bigram-1:english"
        assert self.OLD.terms("한국어 don\u2019t Running") == ["한국어", "don\u2019t", "run"]
        assert self.OLD.question_terms("How do I limit connections?") == ["limit", "connect"]

    def test_never_detects(self):
        assert not self.OLD.detects
        assert self.OLD.language_of("", "Das ist nicht die Sprache der Häuser.") == "english"
        with pytest.raises(ValueError, match="unknown analyzer"):
            Analyzer.from_name("unicode-bigram-1:auto:english")

    @given(st.text(alphabet=st.characters(codec="ascii")))
    def test_gives_the_terms_of_the_second_for_english_in_ascii(self, text):
        assert self.OLD.terms(text) == ENGLISH.terms(text)
        assert self.OLD.question_terms(text) == ENGLISH.question_terms(text)


def test_the_name_holds_the_languages_the_main_one_first():
    made = Analyzer.for_languages({"russian": 3, None: 9, "german": 5, "arabic": 3})
    assert made.name == "unicode-bigram-2:auto:german+arabic+russian"
    again = Analyzer.from_name(made.name)
    assert (again.name, again.languages, again.main) == (made.name, made.languages, "german")
    assert made.language("french") == made.language(None) == "german"


@pytest.mark.parametrize(
    "name", ["unicode-bigram-2:auto:klingon", "unicode-bigram-2:auto:german+", "unicode-bigram-2:"]
)
def test_a_name_with_a_language_that_is_none_is_refused(name):
    with pytest.raises(ValueError, match="unknown analyzer"):
        Analyzer.from_name(name)
