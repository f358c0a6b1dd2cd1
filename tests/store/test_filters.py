"""Filters: what each operator means, and what is refused with which words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.document import Document
from store.filters import CONDITIONS_MAX, FilterError, matches, parse_filter
from store.passages import Origin, PassageReader, PassageWriter, Span
from store.selection import Selector


def nested(levels: int, inner=None):
    tree = inner or {"a": 1}
    for _ in range(levels - 1):
        tree = {"$not": tree}
    return tree


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (["a"], "list"),
        ("a", "str"),
        (None, "NoneType"),
        ({"$nor": []}, r"'\$nor'"),
        ({"$eq": 1}, r"'\$eq'.*field name"),
        ({"$and": []}, r"\$and.*non-empty list"),
        ({"$or": {"a": 1}}, r"\$or.*list"),
        ({"$or": "a"}, r"\$or.*list"),
        ({"$or": [1]}, r"\$or.*objects.*int"),
        ({"$not": 5}, r"\$not.*objects.*int"),
        ({"year": {}}, "'year'.*empty"),
        ({"year": {"$like": 1}}, r"'\$like'.*'year'.*\$gte"),
        ({"year": {"plain": 1}}, "'plain'.*'year'"),
        ({"year": {"$in": 5}}, r"\$in.*'year'.*list"),
        ({"year": {"$nin": "abc"}}, r"\$nin.*'year'.*list"),
        ({"year": {"$in": [[1]]}}, r"\$in.*'year'.*list"),
        ({"year": {"$exists": 1}}, r"\$exists.*'year'.*true or false"),
        ({"year": {"$gt": None}}, r"\$gt.*'year'.*number or a string"),
        ({"year": {"$lte": True}}, r"\$lte.*'year'.*number or a string"),
        ({"year": {"$eq": {"a": 1}}}, r"\$eq.*'year'.*dict"),
        ({"year": [1, 2]}, r"\$eq.*'year'.*list"),
        ({"year": float("nan")}, "'year'.*nan"),
        ({"year": {"$gt": float("inf")}}, r"\$gt.*'year'.*inf"),
        ({"year": 10**400}, "'year'.*too large"),
        ({"lang": "\ud800"}, "'lang'.*surrogate"),
        ({"\ud800": 1}, "field name.*surrogate"),
        (nested(9), "deeper than 8"),
        (nested(8, {"a": {"$eq": 1}}), "deeper than 8"),
        ({"a": {"$in": list(range(CONDITIONS_MAX))}}, str(CONDITIONS_MAX)),
    ],
)
def test_a_filter_that_cannot_be_understood_is_refused_and_the_message_names_the_place(raw, named):
    with pytest.raises(FilterError, match=named):
        parse_filter(raw)


def test_eight_levels_are_allowed():
    assert matches(parse_filter(nested(8)), {"a": 2}) is True
    assert matches(parse_filter(nested(7, {"a": {"$eq": 1}})), {"a": 1}) is True


@pytest.mark.parametrize(
    "raw",
    [
        {"$or": [{"a": 1}] * 60_000},
        {"a": {"$in": list(range(60_000))}},
        {str(number): 1 for number in range(60_000)},
        {"$and": [{}] * 60_000},
        {"$not": {"$or": [{"$and": [{"a": {"$gt": 1, "$lt": 3}}] * 200}, {"b": 1}]}},
    ],
)
def test_a_filter_of_too_many_conditions_is_refused_before_they_are_looked_at(raw, monkeypatch):
    monkeypatch.setattr("store.filters._parse_object", None)
    with pytest.raises(FilterError, match=f"more than {CONDITIONS_MAX} conditions"):
        parse_filter(raw)


def test_depth_is_refused_before_it_can_exhaust_the_stack():
    with pytest.raises(FilterError, match="deeper"):
        parse_filter(nested(100_000))


# (filter, metadata, passes): the table of DESIGN section 6, case by case
MEANING = [
    ({}, {}, True),
    ({}, {"a": 1}, True),
    # plain values and $eq
    ({"a": "x"}, {"a": "x"}, True),
    ({"a": "x"}, {"a": "X"}, False),
    ({"a": 1}, {"a": 1.0}, True),
    ({"a": 2**63}, {"a": 2.0**63}, True),
    ({"a": None}, {"a": None}, True),
    ({"a": 1, "b": 2}, {"a": 1, "b": 3}, False),
    # a missing field matches only $exists: false, $ne, $nin and $not
    ({"a": None}, {}, False),
    ({"a": {"$eq": 1}}, {}, False),
    ({"a": {"$ne": 1}}, {}, True),
    ({"a": {"$in": [1, None]}}, {}, False),
    ({"a": {"$in": []}}, {}, False),
    ({"a": {"$nin": [1]}}, {}, True),
    ({"a": {"$nin": []}}, {}, True),
    ({"a": {"$gt": 0}}, {}, False),
    ({"a": {"$lte": "z"}}, {}, False),
    ({"a": {"$exists": True}}, {}, False),
    ({"a": {"$exists": False}}, {}, True),
    ({"a": {"$not": {"$gt": 0}}}, {}, True),
    ({"$not": {"a": 1}}, {}, True),
    # a field that is null or an empty list exists
    ({"a": {"$exists": True}}, {"a": None}, True),
    ({"a": {"$exists": True}}, {"a": []}, True),
    ({"a": {"$exists": False}}, {"a": None}, False),
    ({"a": {"$eq": None}}, {"a": []}, False),
    ({"a": {"$ne": 1}}, {"a": []}, True),
    # arrays match if any element does
    ({"a": "x"}, {"a": ["y", "x"]}, True),
    ({"a": {"$gt": 4}}, {"a": [1, 5]}, True),
    ({"a": {"$in": ["p", "x"]}}, {"a": ["y", "x"]}, True),
    ({"a": {"$ne": "x"}}, {"a": ["y", "x"]}, False),
    ({"a": {"$nin": ["x"]}}, {"a": ["y", "x"]}, False),
    ({"a": {"$gt": 1, "$lt": 3}}, {"a": [0, 5]}, True),  # each condition asks for an element of its own
    ({"a": {"$gt": 6, "$lt": 3}}, {"a": [0, 5]}, False),
    ({"a": {"$gte": 1, "$lte": 3}}, {"a": [0, 5, 2]}, True),
    ({"a": 1}, {"a": [[1]]}, False),
    # a type mismatch matches nothing, and so, negated, everything
    ({"a": "1"}, {"a": 1}, False),
    ({"a": {"$gt": "1"}}, {"a": 2}, False),
    ({"a": {"$gt": 1}}, {"a": "2"}, False),
    ({"a": {"$not": {"$gt": 1}}}, {"a": "2"}, True),
    ({"a": {"$ne": 1}}, {"a": "1"}, True),
    ({"a": {"$lt": 5}}, {"a": None}, False),
    ({"a": 1}, {"a": {"b": 1}}, False),
    # booleans are not numbers
    ({"a": True}, {"a": True}, True),
    ({"a": True}, {"a": 1}, False),
    ({"a": 1}, {"a": True}, False),
    ({"a": 0}, {"a": False}, False),
    ({"a": {"$in": [1]}}, {"a": True}, False),
    ({"a": {"$gte": 0}}, {"a": True}, False),
    # order
    ({"a": {"$gt": 1}}, {"a": 1}, False),
    ({"a": {"$gte": 1}}, {"a": 1.0}, True),
    ({"a": {"$lt": "b"}}, {"a": "a"}, True),
    ({"a": {"$lt": "é"}}, {"a": "z"}, True),
    ({"a": {"$gt": "\uffff"}}, {"a": "😀"}, True),
    # logic
    ({"$or": [{"a": 1}, {"b": 1}]}, {"b": 1}, True),
    ({"$or": [{"a": 1}, {"b": 1}]}, {"b": 2}, False),
    ({"$and": [{"a": 1}, {"a": 2}]}, {"a": [1, 2]}, True),
    ({"$not": {"$or": [{"a": 1}, {"b": 1}]}}, {"a": 2}, True),
    # dots reach into objects; a field that is really called so wins
    ({"o.x": 1}, {"o": {"x": 1}}, True),
    ({"o.x.y": "z"}, {"o": {"x": {"y": ["z"]}}}, True),
    ({"o.x": 1}, {"o.x": 1}, True),
    ({"o.x": 1}, {"o.x": 2, "o": {"x": 1}}, False),
    ({"o.x.y": 1}, {"o.x": 2, "o": {"x": {"y": 1}}}, True),
    ({"o.x.y": 1}, {"o": {"x.y": 1}}, False),
    ({"o.x.y": 1}, {"o.x": {"y": 1}}, False),
    ({"o": {"$exists": True}}, {"o": {"x": 1}}, True),
    ({"o.x": {"$exists": True}}, {"o": {}}, False),
    ({"o.x": {"$exists": False}}, {"o": 5}, True),
    ({"o.x": 1}, {"o": [{"x": 1}]}, False),
]


@pytest.mark.parametrize(("raw", "metadata", "passes"), MEANING)
def test_what_a_filter_means(raw, metadata, passes, select):
    assert matches(parse_filter(raw), metadata) is passes
    assert select([metadata], parse_filter(raw)) == [passes]


@pytest.fixture
def select(tmp_path_factory):
    return lambda *arguments: selected(tmp_path_factory.mktemp("filters"), *arguments)


def opened(folder, every_metadata, access=None):
    writer = PassageWriter(folder / "passages.sqlite")
    at = 0
    for row, metadata in enumerate(every_metadata):
        document = Document(f"{row:04}", "ab", metadata=metadata, access=(access or {}).get(row, frozenset()))
        spans = [Span(number, number + 1, (), b"") for number in range(row % 3)]
        writer.add(document, "v", Origin("s", "f", "i"), spans, [f"{at + number}" for number in range(len(spans))])
        at += len(spans)
    writer.finish()
    return PassageReader(folder / "passages.sqlite")


def selected(folder, every_metadata, tree) -> list[bool]:
    """What the database says of each document."""
    reader = opened(folder, every_metadata)
    try:
        return Selector(reader)._matching(tree).tolist()
    finally:
        reader.close()


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([0.0, -0.0, 1.0, 1.5, 2.0**53, 1e300]),
    st.sampled_from(["", "a", "b", "1", "é", "😀", "\x00", "a\x00b"]),
)
keys = st.sampled_from(["a", "b", "c", "a.b", "b.c", "a.b.c", "", "."])
metadatas = st.dictionaries(
    keys,
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
conditions = st.one_of(
    scalars,
    *[st.fixed_dictionaries({operator: scalars}) for operator in ("$eq", "$ne")],
    *[st.fixed_dictionaries({operator: st.lists(scalars, max_size=3)}) for operator in ("$in", "$nin")],
    *[
        st.fixed_dictionaries({operator: st.integers(-2, 2) | st.sampled_from(["", "a", "é", 1.5])})
        for operator in ("$gt", "$gte", "$lt", "$lte")
    ],
    st.fixed_dictionaries({"$exists": st.booleans()}),
)
fields = st.sampled_from(["a", "b", "a.b", "b.c", "a.b.c", "a.b.c.a", "", ".", "a."])
trees = st.recursive(
    st.dictionaries(fields, conditions | st.fixed_dictionaries({"$not": conditions.filter(lambda c: c != {})})),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"$or": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"$and": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"$not": inner}),
    ),
    max_leaves=4,
)


@settings(max_examples=300)
@given(every_metadata=st.lists(metadatas, max_size=5), raws=st.lists(trees, min_size=1, max_size=4))
def test_the_database_selects_exactly_what_the_definition_says(every_metadata, raws, tmp_path_factory):
    reader = opened(tmp_path_factory.mktemp("filters"), every_metadata)
    try:
        selector = Selector(reader)
        for raw in raws:
            tree = parse_filter(raw)
            passing = [matches(tree, metadata) for metadata in every_metadata]
            mask = selector.mask(tree, frozenset())
            assert mask.tolist() == [ok for row, ok in enumerate(passing) for _ in range(row % 3)]
    finally:
        reader.close()


def test_one_and_true_do_not_share_a_remembered_selection(tmp_path):
    reader = opened(tmp_path, [{}, {"a": 1}, {"a": True}])
    selector = Selector(reader)
    first = selector.mask(parse_filter({"a": 1}), frozenset())
    other = selector.mask(parse_filter({"a": True}), frozenset())
    assert (first.tolist(), other.tolist()) == ([True, False, False], [False, True, True])
    assert selector.mask(parse_filter({"a": 1}), frozenset()) is first
    reader.close()


def test_many_different_filters_do_not_pile_up(tmp_path):
    reader = opened(tmp_path, [{}, {"a": 1}])
    selector = Selector(reader)
    for number in range(200):
        selector.mask(parse_filter({"a": number}), frozenset())
    assert len(selector._kept) <= 64
    reader.close()


def test_a_mask_cannot_be_changed_by_who_asked_for_it(tmp_path):
    reader = opened(tmp_path, [{}, {"a": 1}])
    with pytest.raises(ValueError, match="read-only"):
        Selector(reader).mask(parse_filter({"a": 1}), frozenset())[0] = False
    reader.close()


def test_access_and_filter_hold_together(tmp_path):
    access = {1: frozenset({"staff", "board"}), 2: frozenset({"board"})}
    reader = opened(tmp_path, [{}, {"a": 1}, {"a": 1}, {}, {"a": 1}], access)
    selector = Selector(reader)
    of_document = np.repeat(np.arange(5), [0, 1, 2, 0, 1])

    def seen(raw, *principals):
        mask = selector.mask(None if raw is None else parse_filter(raw), frozenset(principals))
        return sorted(set(of_document[mask].tolist()))

    assert seen(None) == [4]
    assert seen(None, "staff") == [1, 4]
    assert seen({"a": 1}, "staff", "board") == [1, 2, 4]
    assert seen({"$not": {"a": 1}}, "board") == []
    reader.close()
