"""The `Snapshot` protocol: what every implementation promises, and that the local one ranks as the exact one does."""

from __future__ import annotations

import asyncio
import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import terms as terms_module
from store import vectors as vectors_module
from store.analyzer import Analyzer
from store.document import Document, make_document
from store.embedding import HashEmbedder
from store.errors import SpaceMismatch, StoreCorrupt
from store.exact import ExactEntry, ExactSnapshot, rounded_length
from store.filters import matches, parse_filter
from store.passages import Span
from store.snapshot import LegQuery, may_read

ENCODER, ANALYZER = HashEmbedder(16), Analyzer()
ANYONE = frozenset()
STAFF = frozenset({"staff"})
BACKENDS = ["exact", "local", "local, every row-set path", "local, no row-set path"]
WORDS = [
    "cat",
    "cats",
    "Running",
    "the",
    "of",
    "max_connections",
    "東京",
    "日本語",
    "😀",
    "naïve",
    "don't",
    "100",
    "พาย",
    "x",
]


def run(work):
    return asyncio.run(work)


def whole(document: Document) -> tuple[Document, list[Span]]:
    """A document that is one passage."""
    return document, [Span(0, len(document.text), (), b"h" * 32)] if document.text.strip() else []


@pytest.fixture(params=BACKENDS)
def opened(request, collection, executor, tmp_path, monkeypatch):
    """Opens documents in one implementation."""
    numbers = itertools.count()
    if "every row-set" in request.param:
        monkeypatch.setattr(terms_module, "_ROW_SET_MAX", 10**9)
    if "no row-set" in request.param:
        monkeypatch.setattr(terms_module, "_ROW_SET_MAX", 0)
        monkeypatch.setattr(terms_module, "_ASIDE", 1)
        monkeypatch.setattr(vectors_module, "_ASIDE", 1)
    snapshots = []

    def open_it(*documents: Document):
        made = collection([whole(document) for document in documents])
        snapshot = made.exact() if request.param == "exact" else made.local(tmp_path / f"{next(numbers)}", executor)
        snapshots.append(snapshot)
        return snapshot, made

    yield open_it
    for snapshot in snapshots:
        getattr(snapshot, "close", lambda: None)()


class TestEveryImplementation:
    def test_ranks_by_score_and_equal_scores_in_row_order(self, opened):
        snapshot, made = opened(*(make_document(f"d{i:03}", "same words here") for i in range(150)))
        (vector,) = made.encoder.encode_queries(["same words"])
        for k in (1, 7, 100, 140):
            assert [hit.passage_id for hit in run(snapshot.dense(vector, k, None, ANYONE))] == made.ids[:k]
            assert [hit.passage_id for hit in run(snapshot.lexical("words", k, None, ANYONE))] == made.ids[:k]

    def test_equal_passages_tie_in_row_order_among_selected_rows(self, opened):
        documents = [make_document(f"d{i:03}", "same words", metadata={"n": i}) for i in range(121)]
        snapshot, made = opened(*documents)
        (vector,) = made.encoder.encode_queries(["words"])
        chosen = parse_filter({"n": {"$gte": 18}})
        assert [hit.passage_id for hit in run(snapshot.dense(vector, 200, chosen, ANYONE))] == made.ids[18:]
        assert [hit.passage_id for hit in run(snapshot.lexical("words", 200, chosen, ANYONE))] == made.ids[18:]

    @pytest.mark.parametrize("text", ["", "   ", "the of and", "?!—", "nowhere"])
    def test_a_question_without_known_terms_finds_nothing_in_the_lexical_leg(self, opened, text):
        snapshot, _ = opened(make_document("a", "the cat"), make_document("b", "of mice"))
        assert run(snapshot.lexical(text, 10, None, ANYONE)) == []

    def test_no_lexical_hit_scores_zero(self, opened):
        snapshot, _ = opened(*(make_document(f"d{i}", word) for i, word in enumerate(["cat", "dog", "cat dog", "eel"])))
        hits = run(snapshot.lexical("cat", 100, None, ANYONE))
        assert len(hits) == 2
        assert all(hit.score > 0 for hit in hits)

    def test_an_empty_collection_answers_nothing(self, opened):
        snapshot, made = opened()
        assert (snapshot.facts.documents, snapshot.facts.passages) == (0, 0)
        (vector,) = made.encoder.encode_queries(["cat"])
        assert run(snapshot.dense(vector, 10, None, ANYONE)) == []
        assert run(snapshot.lexical("cat", 10, None, ANYONE)) == []
        assert run(snapshot.document(id="a", principals=ANYONE)) is None

    def test_a_filter_that_nothing_passes_leaves_nothing(self, opened):
        snapshot, made = opened(make_document("a", "cat"))
        (vector,) = made.encoder.encode_queries(["cat"])
        none = parse_filter({"lang": "xx"})
        assert run(snapshot.dense(vector, 10, none, ANYONE)) == []
        assert run(snapshot.lexical("cat", 10, none, ANYONE)) == []

    @pytest.mark.parametrize("shape", [(15,), (17,), (0,), (1, 16)])
    def test_a_vector_of_another_dimension_is_refused(self, opened, shape):
        snapshot, _ = opened(make_document("a", "cat"))
        with pytest.raises(SpaceMismatch, match="16") as caught:
            run(snapshot.dense(np.zeros(shape, np.float32), 5, None, ANYONE))
        assert caught.value.found == shape

    def test_unknown_ids_are_left_out_when_read_and_refused_when_scored(self, opened):
        snapshot, made = opened(make_document("a", "cat"))
        assert list(run(snapshot.passages([*made.ids, "unknown"], ANYONE))) == made.ids
        assert run(snapshot.document(id="unknown", principals=ANYONE)) is None
        with pytest.raises(KeyError):
            run(snapshot.score(LegQuery("cat", None), ["unknown"]))

    def test_what_an_asker_may_not_read_is_found_nowhere(self, opened):
        private = make_document("b", "the secret cat", access=frozenset({"staff", "board"}))
        snapshot, made = opened(make_document("a", "a cat"), private)
        (vector,) = made.encoder.encode_queries(["the secret cat"])
        for principals, seen in [(ANYONE, made.ids[:1]), (frozenset({"guest"}), made.ids[:1]), (STAFF, made.ids)]:
            assert sorted(h.passage_id for h in run(snapshot.dense(vector, 9, None, principals))) == sorted(seen)
            assert sorted(h.passage_id for h in run(snapshot.lexical("cat", 9, None, principals))) == sorted(seen)
            assert sorted(run(snapshot.passages(made.ids, principals))) == sorted(seen)
            for wanted in ({"id": "b"}, {"version": private.version}, {"id": "b", "version": private.version}):
                found = run(snapshot.document(**wanted, principals=principals))
                assert (found is not None) == (principals == STAFF)

    def test_of_two_equal_documents_the_readable_one_is_given_for_their_version(self, opened):
        hidden = make_document("a", "same", access=frozenset({"staff"}))
        snapshot, _ = opened(hidden, make_document("b", "same"))
        assert run(snapshot.document(version=hidden.version, principals=ANYONE)).header.id == "b"
        assert run(snapshot.document(version=hidden.version, principals=STAFF)).header.id == "a"

    def test_a_document_comes_back_as_it_was(self, opened):
        text = "Straße 東京 😀\nsecond line " + "long " * 10_000
        snapshot, made = opened(make_document("a/b c", text, title="T", url="https://e.org", metadata={"n": [1, None]}))
        found = run(snapshot.document(id="a/b c", principals=ANYONE))
        assert found.text == made.documents[0][0].text
        assert (found.header.title, found.header.url, dict(found.header.metadata)) == (
            "T",
            "https://e.org",
            {"n": [1, None]},
        )
        (stored,) = run(snapshot.passages(made.ids, ANYONE)).values()
        assert found.text[stored.passage.start : stored.passage.end] == stored.passage.text
        assert run(snapshot.document(id="a/b c", version="0" * 64, principals=ANYONE)) is None

    def test_scores_of_given_passages_are_those_of_the_legs(self, opened):
        snapshot, made = opened(*(make_document(f"d{i}", text) for i, text in enumerate(["cat dog", "dog", "eel cat"])))
        (vector,) = made.encoder.encode_queries(["cat"])
        dense = {hit.passage_id: hit.score for hit in run(snapshot.dense(vector, 9, None, ANYONE))}
        lexical = {hit.passage_id: hit.score for hit in run(snapshot.lexical("cat", 9, None, ANYONE))}
        given = made.ids[::-1]
        for passage, found in zip(given, run(snapshot.score(LegQuery("cat", vector), given)), strict=True):
            assert found.dense == pytest.approx(dense[passage], abs=1e-5)
            assert found.lexical == pytest.approx(lexical.get(passage, 0.0), abs=1e-5)
        assert [one.dense for one in run(snapshot.score(LegQuery("cat", None), given))] == [None] * 3
        assert [one.lexical for one in run(snapshot.score(LegQuery(None, vector), given))] == [None] * 3
        assert run(snapshot.score(LegQuery("cat", vector), [])) == []

    def test_vectors_of_given_passages_give_the_scores_of_the_leg(self, opened):
        snapshot, made = opened(*(make_document(f"d{i}", text) for i, text in enumerate(["cat dog", "dog", "eel cat"])))
        (vector,) = made.encoder.encode_queries(["cat"])
        hits = run(snapshot.dense(vector, 9, None, ANYONE))
        vectors = run(snapshot.vectors([hit.passage_id for hit in hits]))
        assert vectors.dtype == np.float32
        assert vectors @ vector == pytest.approx([hit.score for hit in hits], abs=1e-5)
        assert run(snapshot.vectors([])).shape == (0, len(vector))
        with pytest.raises(KeyError):
            run(snapshot.vectors(["nobody"]))

    def test_a_document_s_passages_are_named_in_order_to_whom_may_read_it(self, opened):
        snapshot, made = opened(
            make_document("a", "one two three"), make_document("s", "secret", access=frozenset({"staff"}))
        )
        assert run(snapshot.passage_ids("a", ANYONE)) == made.ids[:-1]
        assert run(snapshot.passage_ids("s", ANYONE)) == []
        assert run(snapshot.passage_ids("s", frozenset({"staff"}))) == made.ids[-1:]
        assert run(snapshot.passage_ids("nobody", ANYONE)) == []

    def test_rare_terms_weigh_more_and_unknown_ones_most(self, opened):
        snapshot, _ = opened(make_document("a", "cat dog"), make_document("b", "cat"))
        weights = run(snapshot.term_weights("unknown dog cat the"))
        assert list(weights) == ["unknown", "dog", "cat"]
        assert weights["unknown"] > weights["dog"] > weights["cat"] > 0
        assert weights["dog"] == pytest.approx(np.log(1 + 1.5 / 1.5))

    def test_k_beyond_the_collection_gives_all_of_it(self, opened):
        snapshot, made = opened(*(make_document(f"d{i}", f"cat {i}") for i in range(5)))
        (vector,) = made.encoder.encode_queries(["cat"])
        assert len(run(snapshot.dense(vector, 10**6, None, ANYONE))) == 5
        assert len(run(snapshot.lexical("cat", 10**6, None, ANYONE))) == 5


def test_bm25_is_the_published_formula():
    """Worked by hand: k1 1.2, b 0.75, idf ln(1 + (N - n + 0.5) / (n + 0.5)), lengths 3 and 1, mean 2."""
    space = ENCODER.space
    documents = [make_document("a", "cat cat dog"), make_document("b", "dog")]
    snapshot = ExactSnapshot(
        [ExactEntry(*whole(one), np.zeros((1, space.dimension), np.float32)) for one in documents],
        space,
        ANALYZER,
    )
    (hit,) = run(snapshot.lexical("cat", 5, None, ANYONE))
    idf = np.log(1 + (2 - 1 + 0.5) / (1 + 0.5))
    assert hit.score == pytest.approx(idf * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 3 / 2)))


def test_the_exact_snapshot_refuses_two_documents_with_one_id_and_vectors_of_another_shape():
    entry = ExactEntry(*whole(make_document("a", "cat")), np.zeros((1, 16), np.float32))
    with pytest.raises(StoreCorrupt, match="'a' twice"):
        ExactSnapshot([entry, entry], ENCODER.space, ANALYZER)
    short = ExactEntry(entry.document, entry.spans, np.zeros((1, 15), np.float32))
    with pytest.raises(SpaceMismatch, match=r"\(1, 16\).*\(1, 15\)"):
        ExactSnapshot([short], ENCODER.space, ANALYZER)


def test_lengths_are_rounded_as_lucene_does():
    assert [rounded_length(n) for n in (0, 1, 39, 40, 41, 42, 57, 1000)] == [0, 1, 39, 40, 40, 42, 56, 984]
    rounded = [rounded_length(n) for n in range(5000)]
    assert rounded == sorted(rounded)
    assert len(set(rounded)) == 106


values = st.one_of(st.sampled_from(["en", "ja", "a"]), st.integers(-3, 3), st.booleans(), st.none(), st.just(1.5))
conditions = st.one_of(
    values,
    st.fixed_dictionaries({"$ne": values}),
    st.fixed_dictionaries({"$in": st.lists(values, max_size=3)}),
    st.fixed_dictionaries({"$gte": st.integers(-2, 2)}),
    st.fixed_dictionaries({"$exists": st.booleans()}),
)
filters = st.recursive(
    st.dictionaries(st.sampled_from(["lang", "n", "o.x"]), conditions, max_size=2),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"$or": st.lists(inner, min_size=1, max_size=2)}), st.fixed_dictionaries({"$not": inner})
    ),
    max_leaves=3,
)
SENTENCES = [
    "Das ist die Geschichte der Häuser und nicht der Straßen.",
    "Это описание домов, и не только улиц города.",
    "These are the houses of the city, and not its streets.",
]
texts = st.tuples(
    st.sampled_from(["", *SENTENCES]), st.lists(st.sampled_from([*WORDS, "Häuser", "houses", "домов"]), max_size=60)
).map(lambda pair: " ".join([pair[0], *pair[1]]))


@st.composite
def documents(draw):
    made = []
    for number in range(draw(st.integers(0, 9))):
        text = draw(texts)
        metadata = draw(
            st.dictionaries(st.sampled_from(["lang", "n"]), st.one_of(values, st.lists(values, max_size=2)), max_size=2)
        )
        access = draw(st.sampled_from([frozenset(), frozenset(), STAFF, frozenset({"board"})]))
        title = draw(st.sampled_from(["", "", "Cats"]))
        one = make_document(f"d{number % 7}-{number}", text, title=title, metadata=metadata, access=access)
        cuts = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=3))})
        spans = [Span(a, b, (), bytes(32)) for a, b in itertools.pairwise(cuts) if text[a:b].strip()]
        made.append((one, spans))
    return made


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pairs=documents(),
    question=texts,
    tree=st.none() | filters,
    principals=st.sampled_from([ANYONE, STAFF]),
    k=st.integers(1, 30),
    row_set_max=st.sampled_from([0, 3, 2000]),
)
def test_the_local_snapshot_ranks_as_the_exact_one(
    pairs, question, tree, principals, k, row_set_max, collection, executor, tmp_path_factory
):
    made = collection(pairs)
    parsed = None if tree is None else parse_filter(tree)
    (vector,) = made.encoder.encode_queries([question])
    exact, patch = made.exact(), pytest.MonkeyPatch()
    patch.setattr(terms_module, "_ROW_SET_MAX", row_set_max)
    patch.setattr(terms_module, "_ASIDE", 1)
    local = made.local(tmp_path_factory.mktemp("local") / "snapshot", executor)
    try:
        allowed = {
            key
            for key, one in zip(made.ids, _documents_of(made), strict=True)
            if may_read(one.access, principals) and (parsed is None or matches(parsed, one.metadata))
        }
        for leg, asked in (("dense", vector), ("lexical", question)):
            everything = run(getattr(exact, leg)(asked, 10**6, parsed, principals))
            assert {hit.passage_id for hit in everything} <= allowed
            _same(run(getattr(local, leg)(asked, k, parsed, principals)), everything, k, made.ids)
        query = LegQuery(question, vector)
        for mine, its in zip(run(exact.score(query, made.ids)), run(local.score(query, made.ids)), strict=True):
            assert (mine.dense, mine.lexical) == pytest.approx((its.dense, its.lexical), abs=1e-4)
        assert run(exact.term_weights(question)) == pytest.approx(run(local.term_weights(question)))
        assert run(exact.passages(made.ids, principals)) == run(local.passages(made.ids, principals))
        for one, _ in made.documents:
            found = [run(it.document(id=one.id, principals=principals)) for it in (exact, local)]
            assert found[0] == found[1]
    finally:
        local.close()
        patch.undo()


def _documents_of(made):
    return [document for document, spans in made.documents for _ in spans]


def _same(found, everything, k, row_order):
    """`found` is the best k of `everything`; what scores equal (to 1e-4) may only stand in row order if truly equal."""
    assert len(found) == min(k, len(everything))
    true = {hit.passage_id: hit.score for hit in everything}
    for hit, its in zip(found, everything, strict=False):
        assert hit.score == pytest.approx(true[hit.passage_id], abs=1e-4)
        assert hit.score == pytest.approx(its.score, abs=1e-4)
    for one, other in itertools.pairwise(found):
        if one.score == other.score:
            assert row_order.index(one.passage_id) < row_order.index(other.passage_id)
