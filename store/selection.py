"""Filters and access compiled for the local engine: to a mask over passage rows, kept for as long as the snapshot."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from store.filters import And, Condition, Filter, Not, Or, Scalar
from store.passages import PassageReader

Mask = npt.NDArray[np.bool_]
_KEPT = 64
_ORDER = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}


class Selector:
    """Answers "which passage rows may this asker see under this filter?".

    The most recent masks are kept: a snapshot never changes, so they cannot be stale.
    """

    def __init__(self, reader: PassageReader) -> None:
        self._reader = reader
        starts = np.array(reader.first_passages(), np.int64)
        self._documents = len(starts) - 1
        self._passages_per_document = np.diff(starts)
        self._public = np.ones(self._documents, np.bool_)
        self._public[self._read("SELECT DISTINCT document_row FROM principals")] = False
        self._restricted = not self._public.all()
        self._kept: OrderedDict[tuple[str, frozenset[str]], Mask] = OrderedDict()
        self._guard = threading.Lock()

    def mask(self, tree: Filter | None, principals: frozenset[str]) -> Mask | None:
        """Bool, shape (passages,); None where every row is allowed."""
        if tree is None and not self._restricted:
            return None
        key = (repr(tree), principals)  # repr, since 1, 1.0 and True are equal and must not share a mask
        with self._guard:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        allowed = self._readable(principals)
        if tree is not None:
            allowed &= self._matching(tree)
        mask = np.repeat(allowed, self._passages_per_document)
        mask.flags.writeable = False
        with self._guard:
            self._kept[key] = mask
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return mask

    def _readable(self, principals: frozenset[str]) -> Mask:
        """Documents that everyone may see, and those that one of these may."""
        allowed = self._public.copy()
        if self._restricted:
            for name in principals:
                allowed[self._read("SELECT document_row FROM principals WHERE principal = ?", name)] = True
        return allowed

    def _matching(self, tree: Filter) -> Mask:  # noqa: C901  # one case an operator
        match tree:
            case And(parts):
                result = np.ones(self._documents, np.bool_)
                for part in parts:
                    result &= self._matching(part)
                return result
            case Or(parts):
                result = np.zeros(self._documents, np.bool_)
                for part in parts:
                    result |= self._matching(part)
                return result
            case Not(part):
                return ~self._matching(part)
            case Condition(field, "$exists", wanted):
                present = self._rows("field = ? AND kind = 'p'", field)
                return present if wanted else ~present
            case Condition(field, "$ne", value):
                return ~self._equal(field, value)
            case Condition(field, "$nin", tuple(values)):
                return ~self._any_equal(field, values)
            case Condition(field, "$in", tuple(values)):
                return self._any_equal(field, values)
            case Condition(field, "$eq", value):
                return self._equal(field, value)
            case Condition(field, operator, value):
                kind = "s" if isinstance(value, str) else "n"
                return self._rows(f"field = ? AND kind = '{kind}' AND value {_ORDER[operator]} ?", field, value)

    def _any_equal(self, field: str, values: tuple[Scalar, ...]) -> Mask:
        result = np.zeros(self._documents, np.bool_)
        for value in values:
            result |= self._equal(field, value)
        return result

    def _equal(self, field: str, value: object) -> Mask:
        if value is None:
            return self._rows("field = ? AND kind = 'z'", field)
        kind = "b" if isinstance(value, bool) else "s" if isinstance(value, str) else "n"
        stored = int(value) if isinstance(value, bool) else value
        return self._rows(f"field = ? AND kind = '{kind}' AND value = ?", field, stored)

    def _rows(self, where: str, *values: object) -> Mask:
        result = np.zeros(self._documents, np.bool_)
        result[self._read(f"SELECT document_row FROM fields WHERE {where}", *values)] = True  # noqa: S608  # fixed above
        return result

    def _read(self, query: str, *values: object) -> npt.NDArray[np.int64]:
        """Document rows, int64."""
        found = self._reader.connection.execute(query, values)
        return np.fromiter((row for (row,) in found), np.int64)
