"""Metadata filters: the JSON operators people know from vector databases, parsed once into a small typed tree.

    {"lang": "en", "year": {"$gte": 2020}, "$or": [{"team": "a"}, {"team": {"$exists": false}}]}

Meaning (DESIGN section 6): an array matches if any element does; a missing field matches only `$exists: false`, `$ne`,
`$nin` and `$not`; a type mismatch matches nothing (and so, negated, everything). Booleans are not numbers.
A tree is a value: each engine compiles it in its own way; `matches` below is the definition they are tested against.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from store.errors import UsageError
from store.text import canonical

Scalar = str | int | float | bool | None
Operator = Literal["$eq", "$ne", "$in", "$nin", "$gt", "$gte", "$lt", "$lte", "$exists"]
_OPERATORS: frozenset[str] = frozenset(get_args(Operator))
DEPTH_MAX = 8
CONDITIONS_MAX = 256


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison on one field. For `$in` and `$nin` the value is a tuple, for `$exists` a bool."""

    field: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class And:
    """All parts hold. Without parts: everything matches."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part holds."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Filter


Filter = Condition | And | Or | Not


class FilterError(UsageError):
    """A filter that cannot be understood; the message names the place and what would be right."""


def parse_filter(raw: Mapping[str, Any]) -> Filter:
    """The typed tree of a JSON filter. Raises FilterError naming the offending operator, field or depth."""
    if not isinstance(raw, Mapping):
        raise FilterError(f"filter must be an object such as {{'lang': 'en'}}, not {type(raw).__name__}.")
    if _size(raw, CONDITIONS_MAX) > CONDITIONS_MAX:
        raise FilterError(f"filter has more than {CONDITIONS_MAX} conditions.")
    return _parse_object(raw, depth=1)


def _size(raw: Mapping[str, Any], enough: int) -> int:
    """How many conditions there are, and values of lists in them, counted before any is looked at; beyond `enough` they
    are not counted.
    """
    waiting: list[Any] = [raw]
    count = 0
    while waiting and count <= enough:
        one = waiting.pop()
        if not isinstance(one, Mapping) or not one:
            count += 1
            continue
        for key, value in itertools.islice(one.items(), enough + 1):
            if not isinstance(value, Sequence) or isinstance(value, str):
                waiting.append(value)
            elif key in ("$and", "$or"):
                waiting.extend(itertools.islice(value, enough + 1))
            else:
                count += 1 + len(value)
    return count


def _parse_object(raw: Mapping[str, Any], depth: int) -> Filter:
    if depth > DEPTH_MAX:
        raise FilterError(f"filter is nested deeper than {DEPTH_MAX} levels.")
    parts: list[Filter] = []
    for key, value in raw.items():
        if key in ("$and", "$or"):
            if not isinstance(value, Sequence) or isinstance(value, str) or not value:
                raise FilterError(f"{key} takes a non-empty list of filters.")
            children = tuple(_parse_child(key, child, depth + 1) for child in value)
            parts.append(And(children) if key == "$and" else Or(children))
        elif key == "$not":
            parts.append(Not(_parse_child(key, value, depth + 1)))
        elif key.startswith("$"):
            raise FilterError(f"unknown operator {key!r} where a field name, $and, $or or $not is expected.")
        else:
            parts.append(_parse_field(key, value, depth + 1))
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _parse_child(operator: str, raw: Any, depth: int) -> Filter:
    if not isinstance(raw, Mapping):
        raise FilterError(f"{operator} takes filters (objects), not {type(raw).__name__}.")
    return _parse_object(raw, depth)


def _parse_field(field: str, raw: Any, depth: int) -> Filter:
    _require_text(field, "a field name")
    field = canonical(field)
    if not isinstance(raw, Mapping):
        return Condition(field, "$eq", _scalar(field, "$eq", raw))
    if depth > DEPTH_MAX:
        raise FilterError(f"filter is nested deeper than {DEPTH_MAX} levels.")
    if not raw:
        raise FilterError(f"field {field!r} has an empty condition; write a value or an operator such as $eq.")
    parts: list[Filter] = []
    for operator, value in raw.items():
        if operator == "$not":
            parts.append(Not(_parse_field(field, value, depth + 1)))
            continue
        if operator not in _OPERATORS:
            known = " ".join(sorted(_OPERATORS))
            raise FilterError(f"unknown operator {operator!r} on field {field!r}; known: {known} $not.")
        parts.append(_parse_condition(field, operator, value))
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _parse_condition(field: str, operator: Operator, value: Any) -> Condition:
    if operator in ("$in", "$nin"):
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise FilterError(f"{operator} on field {field!r} takes a list.")
        return Condition(field, operator, tuple(_scalar(field, operator, item) for item in value))
    if operator == "$exists":
        if not isinstance(value, bool):
            raise FilterError(f"$exists on field {field!r} takes true or false.")
        return Condition(field, operator, value)
    scalar = _scalar(field, operator, value)
    if operator in ("$gt", "$gte", "$lt", "$lte") and (scalar is None or isinstance(scalar, bool)):
        raise FilterError(f"{operator} on field {field!r} takes a number or a string.")
    return Condition(field, operator, scalar)


def _scalar(field: str, operator: str, value: Any) -> Scalar:
    if isinstance(value, float) and not math.isfinite(value):
        raise FilterError(f"{operator} on field {field!r}: {value!r} is not a number that JSON knows.")
    if isinstance(value, int) and abs(value) >= 2**63:
        try:
            return float(value)  # engines compare 64-bit integers; beyond that a float says as much
        except OverflowError:
            raise FilterError(f"{operator} on field {field!r}: the number is too large.") from None
    if isinstance(value, str):
        _require_text(value, f"{operator} on field {field!r}")
        return canonical(value)  # as metadata is stored
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise FilterError(
        f"{operator} on field {field!r} takes a string, number, boolean or null, not {type(value).__name__}."
    )


def _require_text(value: str, where: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise FilterError(f"{where}: {value!r} holds half of a surrogate pair, which is no character.") from None


def matches(tree: Filter, metadata: Mapping[str, Any]) -> bool:
    """Whether a document with this metadata passes: the definition. Dots in a field name reach into objects."""
    match tree:
        case And(parts):
            return all(matches(part, metadata) for part in parts)
        case Or(parts):
            return any(matches(part, metadata) for part in parts)
        case Not(part):
            return not matches(part, metadata)
        case Condition(field, operator, value):
            return _condition_holds(values_of(metadata, field), operator, value)


def values_of(metadata: Mapping[str, Any], field: str) -> tuple[Scalar, ...] | None:
    """The scalar values a field has (an array gives its scalar elements); None where the field is missing."""
    found: Any = metadata
    if field in metadata:
        found = metadata[field]
    else:
        for part in field.split("."):
            if not isinstance(found, Mapping) or part not in found:
                return None
            found = found[part]
    items = found if isinstance(found, list | tuple) else (found,)
    return tuple(item for item in items if item is None or isinstance(item, str | int | float | bool))


def _condition_holds(values: tuple[Scalar, ...] | None, operator: Operator, wanted: Any) -> bool:
    match operator:
        case "$exists":
            return bool((values is not None) == wanted)
        case "$ne":
            return values is None or not any(same(value, wanted) for value in values)
        case "$nin":
            return values is None or not any(same(value, one) for value in values for one in wanted)
    if values is None:
        return False
    match operator:
        case "$eq":
            return any(same(value, wanted) for value in values)
        case "$in":
            return any(same(value, one) for value in values for one in wanted)
        case _:
            return any(compares(value, operator, wanted) for value in values)


def same(value: Scalar, wanted: Scalar) -> bool:
    """Equality without type mixing: 1 equals 1.0 but not true, and never '1'."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return isinstance(value, bool) and isinstance(wanted, bool) and value == wanted
    return bool(value == wanted)


def compares(value: Scalar, operator: Operator, wanted: str | float) -> bool:
    """Order within one type (numbers, or strings by code point); across types nothing holds."""
    if isinstance(value, str) and isinstance(wanted, str):
        left: Any = value
    elif isinstance(value, int | float) and not isinstance(value, bool) and not isinstance(wanted, str):
        left = value
    else:
        return False
    right: Any = wanted
    match operator:
        case "$gt":
            return bool(left > right)
        case "$gte":
            return bool(left >= right)
        case "$lt":
            return bool(left < right)
        case _:
            return bool(left <= right)
