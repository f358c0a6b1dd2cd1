"""What decides a response, as a key: two questions share one only if they must be given the same.

Nothing is left out by oversight: a field of a question that this file does not know makes it one that is not cached,
unless it has its default. What an engine contributes beside its numbers is `Engine.identity`, which wiring makes of the
snapshot's manifest, every setting but a few named ones, and the weights of every model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any

from service.cache_store import CacheKey
from service.engine import Engine
from service.question import Question
from store.filters import And, Condition, Filter, Not, Or

FORMAT = 1
"""Part of every key: changes where the same key would mean something else."""

_KEYED: Mapping[str, Callable[[Any], Any]] = {
    "text": str,
    "principals": sorted,
    "mode": str,
    "top_k": int,
    "filter": lambda tree: None if tree is None else canonical_filter(tree),
    "guardrail": str,
    "segment_words": lambda words: words,
}
_ELSEWHERE = frozenset({"request_id", "rerank"})
"""What is put into each response anew, and what counts only with the engine's default."""

ENGINE_FIELDS = (
    "dense_weight",
    "dense_feedback",
    "lexical_feedback",
    "rerank_depth",
    "rerank_weight",
    "answer_passages",
    "document_passages",
    "abstain_below",
    "identity",
)
"""What of an engine is in every key."""

ENGINE_PARTS = frozenset(
    {
        "snapshot",  # by its manifest, in `identity`
        "encoder",  # by its fingerprint in the manifest, and its precision, in `identity`
        "analyzer",  # by its name in the manifest
        "reranker",  # by its weights, in `identity`
        "rerank_by_default",  # with the question's own wish
        "generator",  # by its settings; where it is no fixed function of its sources, answers are not cached
        "quote_when_withheld",  # then the answer is degraded, and not cached
        "stand_in",  # where it writes, the answer is degraded, and not cached
        "verifier",  # by its card, in `identity`
        "rewriter",  # what may be rewritten is not cached
        "budgets",  # where they tell, the response is degraded, and not cached
        "inference",
        "executor",
        "clock",
        "searches",
        "answers",
    }
)
"""The rest of an engine, and why it is in no key."""


def cache_key(kind: str, question: Question, engine: Engine) -> CacheKey | None:
    """The key of a question's response; None where it is not cached: with a vector of the asker's, an explanation, or a
    conversation that a model may still rewrite.

    Args:
        kind: "search" or "answer".
    """
    asked: dict[str, Any] = {}
    for one in fields(question):
        value = getattr(question, one.name)
        if one.name in _KEYED:
            asked[one.name] = _KEYED[one.name](value)
        elif one.name not in _ELSEWHERE and (one.default is MISSING or not _same(value, one.default)):
            return None
    asked["rerank"] = engine.rerank_by_default if question.rerank is None else question.rerank
    decided = {
        "format": FORMAT,
        "kind": kind,
        "asked": asked,
        "engine": {name: getattr(engine, name) for name in ENGINE_FIELDS},
        "snapshot": engine.snapshot.facts.name,
    }
    text = json.dumps(decided, sort_keys=True, separators=(",", ":"))
    return CacheKey(engine.scope, hashlib.sha256(text.encode()).hexdigest())


def canonical_filter(tree: Filter) -> str:
    """A filter so that those that differ only in the order of their parts are the same; 1, 1.0 and true are not."""
    match tree:
        case And(parts) | Or(parts):
            inner = ",".join(sorted({canonical_filter(part) for part in parts}))
            return f"{'and' if isinstance(tree, And) else 'or'}({inner})"
        case Not(part):
            return f"not({canonical_filter(part)})"
        case Condition(field, operator, tuple(values)):
            return f"{field!r} {operator} ({','.join(sorted({repr(one) for one in values}))})"
        case Condition(field, operator, value):
            return f"{field!r} {operator} {value!r}"


def _same(value: Any, default: Any) -> bool:
    return value is default or (
        type(value) is type(default) and isinstance(value, (bool, int, str, tuple)) and value == default
    )
