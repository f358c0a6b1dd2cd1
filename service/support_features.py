"""How a claim is met by a text, in figures: what a support scorer is made of. Pure.

Of token vectors: MaxSim (late interaction, Khattab and Zaharia 2020) of the claim's word pieces as mean, least and
quantiles, weighted by rarity, and back from the text; in its best sentence; how far the pieces' order is kept; of
pieces that the text lacks, how near it comes. Of words: coverage, plain and by rarity, runs and pairs in common. Of
facts: numbers and names that the text lacks, negation, hedges, direction, the guardrail's hard checks. And lengths.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.adapters.token_encoder import TokenVectors
from service.fact_words import FUNCTION_WORDS, listed
from service.facts import conflict
from service.sentences import units
from store.analyzer import Analyzer

Floats = npt.NDArray[np.float64]

LAYERS = (2, 3, 4, 5, 6)
"""Of the encoder, whose outputs are compared; the middle ones align words, the last one meanings."""

_MET = listed(
    "mean least q10 q25 q50 deviation by_rarity of_rare of_rare_least lowest_three unmet_by_rarity unmet_most "
    "unmet_in_all above_chance above_chance_least above_chance_by_rarity back_q75 back_q90 back_mean "
    "back_by_rarity best_part best_sentence best_sentence_gap best_sentence_margin best_sentence_back "
    "best_sentence_least in_order follows forwards sentence_forwards sentence_follows distinct lacking "
    "lacking_least lacking_by_rarity held"
)
_REASONS = (
    "number_mismatch",
    "unit_mismatch",
    "date_mismatch",
    "name_mismatch",
    "opposite_mismatch",
    "modality_mismatch",
    "scope_mismatch",
    "order_mismatch",
)
_WORDS = listed(
    "covered covered_by_rarity terms_lacking terms_lacking_rarest terms_lacking_in_all covered_by_sentence "
    "covered_by_sentence_by_rarity covered_by_any_sentence pairs_in_common triples_in_common run run_words "
    "words_in_common"
)
_FACTS = listed(
    "numbers numbers_lacking numbers_held names names_lacking names_held negated text_negated negation_differs "
    "negated_alone text_negated_alone hedged text_hedged text_hedged_alone more less text_more text_less "
    "direction_differs direction_held absolute text_absolute conflict conflict_part"
)
_LENGTHS = listed(
    "log_claim_pieces log_text_pieces log_text_sentences log_sentence_pieces log_claim_over_sentence "
    "claim_rarity text_rarity log_claim_terms log_claim_sentences"
)
NAMES = (
    *(f"layer{layer}.{name}" for layer in LAYERS for name in _MET),
    "cosine",
    "cosine_mean",
    *_WORDS,
    *_FACTS,
    *(f"conflict.{reason}" for reason in _REASONS),
    *_LENGTHS,
)
"""What the figures are called, in their order."""

_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NEGATED = re.compile(
    r"\b(?:not|no|never|none|neither|nor|cannot|without|nobody|nothing|unable|fail(?:s|ed)?|lack(?:s|ed)?|deny|denied"
    r"|denies|unlikely|hardly|rarely|false|myth)\b|n't\b",
    re.IGNORECASE,
)
_HEDGED = re.compile(
    r"\b(?:may|might|could|can|possibl[ey]|likely|perhaps|suggests?|suggested|appears?|probably|potential(?:ly)?|unclear"
    r"|unknown|whether|if|hypothes\w+)\b",
    re.IGNORECASE,
)
_MORE = re.compile(
    r"\b(?:increas\w+|higher|greater|more|rise\w*|rising|rose|grow\w*|grew|larger|elevat\w+|enhanc\w+|improv\w+|promot\w+"
    r"|upregulat\w+|activat\w+|exceed\w*|gain\w*|warm\w*)\b",
    re.IGNORECASE,
)
_LESS = re.compile(
    r"\b(?:decreas\w+|lower\w*|less|fewer|reduc\w+|declin\w+|fall\w*|fell|drop\w*|smaller|diminish\w*|inhibit\w+"
    r"|suppress\w+|impair\w+|downregulat\w+|prevent\w*|loss|lost|cool\w*)\b",
    re.IGNORECASE,
)
_ABSOLUTE = re.compile(
    r"\b(?:all|every|always|only|most|none|never|entire(?:ly)?|first|largest|best|completely|must)\b", re.IGNORECASE
)
_RARITY_UNKNOWN = 5.0  # of a term none of whose pieces was read
_NEAR = 3  # pieces of the text from one piece of the claim to the next that still count as in order


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """A text as it was read: its characters and its word pieces."""

    text: str
    tokens: TokenVectors


@dataclass(frozen=True, slots=True, eq=False)
class _Text:
    """The parts of a text as one.

    Args:
        ids: shape (pieces,).
        vectors: shape (layers, pieces, dimension).
        parts, sentences: where each that has a piece begins, in pieces.
        said: the text of each of these sentences.
    """

    ids: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]
    parts: npt.NDArray[np.int64]
    sentences: npt.NDArray[np.int64]
    said: list[str]


def support_features(
    claim: Read, parts: Sequence[Read], analyzer: Analyzer, rarity: npt.NDArray[np.float32], sentences: int = 1
) -> Floats:
    """float64, shape (len(NAMES),): how the parts of a text, taken together, meet one sentence of a claim.

    Args:
        claim: the sentence.
        parts: of the text, none empty.
        analyzer: of the claim's language.
        rarity: of each word piece of the vocabulary, in nats; larger is rarer.
        sentences: how many the claim has.

    Raises ValueError where the claim or all parts have no word piece.
    """
    parts = [part for part in parts if len(part.tokens.ids)]
    if not parts or not len(claim.tokens.ids):
        raise ValueError("a claim and a text need a word each")
    text = _joined(parts)
    weights = np.asarray(rarity[claim.tokens.ids], np.float64)
    text_weights = np.asarray(rarity[text.ids], np.float64)
    similarity = np.asarray(claim.tokens.vectors @ text.vectors.transpose(0, 2, 1), np.float64)
    lacking = ~np.isin(claim.tokens.ids, text.ids)
    met, best = _met(similarity, weights, text_weights, text, lacking)
    cosines = [float(claim.tokens.mean @ part.tokens.mean) for part in parts]
    sentence = text.said[best]
    read = "\n".join(part.text for part in parts)
    sentence_pieces = int(np.diff(np.append(text.sentences, len(text.ids)))[best])
    reason = conflict(claim.text, sentence)
    found: dict[str, float] = {
        **met,
        "cosine": max(cosines),
        "cosine_mean": sum(cosines) / len(cosines),
        **_words(claim, read, text, sentence, analyzer, weights),
        **_facts(claim.text, read, sentence),
        "conflict": float(reason is not None),
        "conflict_part": float(conflict(claim.text, parts[0].text) is not None),
        **{f"conflict.{one}": float(reason == one) for one in _REASONS},
        "log_claim_pieces": math.log(len(weights)),
        "log_text_pieces": math.log(len(text_weights)),
        "log_text_sentences": math.log(len(text.said)),
        "log_sentence_pieces": math.log(1 + sentence_pieces),
        "log_claim_over_sentence": math.log(len(weights) / (1 + sentence_pieces)),
        "claim_rarity": float(weights.mean()),
        "text_rarity": float(text_weights.mean()),
        "log_claim_terms": math.log(1 + len(set(analyzer.terms(claim.text)))),
        "log_claim_sentences": math.log(sentences),
    }
    return np.array([found[name] for name in NAMES], np.float64)


def _joined(parts: Sequence[Read]) -> _Text:
    starts = np.cumsum([0, *(len(part.tokens.ids) for part in parts)])
    sentences: list[int] = []
    said: list[str] = []
    for part, start in zip(parts, starts[:-1].tolist(), strict=True):
        spans = [(one.start, one.end) for one in units(part.text)] or [(0, len(part.text))]
        ends = np.array([end for _, end in spans])
        of = np.minimum(np.searchsorted(ends, part.tokens.spans[:, 0], side="right"), len(spans) - 1)
        for number in sorted(set(of.tolist())):
            sentences.append(start + int(np.argmax(of == number)))
            said.append(part.text[slice(*spans[number])])
    return _Text(
        np.concatenate([part.tokens.ids for part in parts]),
        np.concatenate([part.tokens.vectors for part in parts], axis=1),
        starts[:-1],
        np.array(sentences, np.int64),
        said,
    )


def _met(
    similarity: Floats, weights: Floats, text_weights: Floats, text: _Text, lacking: npt.NDArray[np.bool_]
) -> tuple[dict[str, float], int]:
    """The figures of every layer, and the number of the sentence that meets the claim best in the last one.

    Args:
        similarity: cosine, shape (layers, pieces of the claim, pieces of the text).
        weights, text_weights: how rare the pieces are.
        text: where its sentences and parts begin.
        lacking: which pieces of the claim the text does not have.
    """
    most = similarity.max(axis=2)
    back = similarity.max(axis=1)
    at = similarity.argmax(axis=2)
    total = max(float(weights.sum()), 1e-9)
    rare = weights >= np.median(weights)
    unmet = (1 - most) * weights
    chance = (most - similarity.mean(axis=2)) / (similarity.std(axis=2) + 1e-3)
    by_part = np.maximum.reduceat(similarity, text.parts, axis=2).mean(axis=1)
    by_sentence = weights @ np.maximum.reduceat(similarity, text.sentences, axis=2) / total
    best = by_sentence.argmax(axis=1)
    ordered = np.sort(by_sentence, axis=1)
    low, middle, half = np.quantile(most, [0.1, 0.25, 0.5], axis=1)
    back_75, back_90 = np.quantile(back, [0.75, 0.9], axis=1)
    steps = np.diff(at, axis=1)
    squared = weights**2
    found: dict[str, Floats] = {
        "mean": most.mean(axis=1),
        "least": most.min(axis=1),
        "q10": low,
        "q25": middle,
        "q50": half,
        "deviation": most.std(axis=1),
        "by_rarity": most @ weights / total,
        "of_rare": most[:, rare].mean(axis=1),
        "of_rare_least": most[:, rare].min(axis=1),
        "lowest_three": np.sort(most, axis=1)[:, :3].mean(axis=1),
        "unmet_by_rarity": (1 - most) @ squared / max(float(squared.sum()), 1e-9),
        "unmet_most": unmet.max(axis=1),
        "unmet_in_all": unmet.sum(axis=1),
        "above_chance": chance.mean(axis=1),
        "above_chance_least": chance.min(axis=1),
        "above_chance_by_rarity": chance @ weights / total,
        "back_q75": back_75,
        "back_q90": back_90,
        "back_mean": back.mean(axis=1),
        "back_by_rarity": back @ text_weights / max(float(text_weights.sum()), 1e-9),
        "best_part": by_part.max(axis=1),
        "best_sentence": ordered[:, -1],
        "best_sentence_gap": most @ weights / total - ordered[:, -1],
        "best_sentence_margin": ordered[:, -1] - ordered[:, -2] if len(text.said) > 1 else np.zeros(len(most)),
        "in_order": _share((steps >= 0) & (steps <= _NEAR)),
        "follows": _share(steps == 1),
        "forwards": _share(steps > 0),
        "distinct": np.array([len(set(row)) / len(row) for row in at.tolist()]),
        **_lacking(most, weights, lacking),
        **_in_best(similarity, text_weights, text, best),
    }
    flat = {f"layer{layer}.{name}": float(found[name][row]) for row, layer in enumerate(LAYERS) for name in _MET}
    return flat, int(best[-1])


def _share(hits: npt.NDArray[np.bool_]) -> Floats:
    """Of each row, 1 where there is nothing to count."""
    return np.asarray(hits.mean(axis=1) if hits.shape[1] else np.ones(len(hits)), np.float64)


def _lacking(most: Floats, weights: Floats, lacking: npt.NDArray[np.bool_]) -> dict[str, Floats]:
    """How near the text comes to the pieces that it lacks, and to those that it has."""
    ones = np.ones(len(most))
    held = most[:, ~lacking].mean(axis=1) if not lacking.all() else np.zeros(len(most))
    if not lacking.any():
        return {"lacking": ones, "lacking_least": ones, "lacking_by_rarity": ones, "held": held}
    part, by = most[:, lacking], weights[lacking]
    return {
        "lacking": part.mean(axis=1),
        "lacking_least": part.min(axis=1),
        "lacking_by_rarity": part @ by / max(float(by.sum()), 1e-9),
        "held": held,
    }


def _in_best(similarity: Floats, text_weights: Floats, text: _Text, best: npt.NDArray[np.int64]) -> dict[str, Floats]:
    """Figures of the one sentence that meets the claim best, in each layer its own."""
    ends = np.append(text.sentences, len(text.ids))
    rows = []
    for layer, number in zip(similarity, best.tolist(), strict=True):
        start, end = int(ends[number]), int(ends[number + 1])
        inside, by = layer[:, start:end], text_weights[start:end]
        steps = np.diff(inside.argmax(axis=1))
        rows.append(
            (
                float(inside.max(axis=0) @ by / max(float(by.sum()), 1e-9)),
                float(inside.max(axis=1).min()),
                float((steps > 0).mean()) if len(steps) else 1.0,
                float((steps == 1).mean()) if len(steps) else 1.0,
            )
        )
    back, least, forwards, follows = np.array(rows).T
    return {
        "best_sentence_back": back,
        "best_sentence_least": least,
        "sentence_forwards": forwards,
        "sentence_follows": follows,
    }


def _words(claim: Read, read: str, text: _Text, sentence: str, analyzer: Analyzer, weights: Floats) -> dict[str, float]:
    """Figures of terms and of words as they are written."""
    terms, others = analyzer.terms(claim.text), analyzer.terms(read)
    rare = _rarity_of_terms(claim, analyzer, weights)
    wanted, there, nearest = set(terms), set(others), set(analyzer.terms(sentence))
    by_sentence = [len(wanted.intersection(analyzer.terms(one))) for one in text.said]
    missing = [rare[term] for term in sorted(wanted - there)]
    count, total = max(len(wanted), 1), sum(rare[term] for term in sorted(wanted)) or 1.0
    said, shown = ([word.casefold() for word in _WORD.findall(one)] for one in (claim.text, read))
    run, places = _longest_run(said, shown), set(shown)
    return {
        "covered": len(wanted & there) / count,
        "covered_by_rarity": sum(rare[term] for term in sorted(wanted & there)) / total,
        "terms_lacking": float(len(missing)),
        "terms_lacking_rarest": max(missing, default=0.0),
        "terms_lacking_in_all": sum(missing),
        "covered_by_sentence": len(wanted & nearest) / count,
        "covered_by_sentence_by_rarity": sum(rare[term] for term in sorted(wanted & nearest)) / total,
        "covered_by_any_sentence": max(by_sentence, default=0) / count,
        "pairs_in_common": _in_common(terms, others, 2),
        "triples_in_common": _in_common(terms, others, 3),
        "run": run / max(len(said), 1),
        "run_words": float(min(run, 12)),
        "words_in_common": sum(word in places for word in said) / max(len(said), 1),
    }


def _rarity_of_terms(claim: Read, analyzer: Analyzer, weights: Floats) -> Mapping[str, float]:
    """Of each term, that of the rarest piece of the word it comes from."""
    found = dict.fromkeys(analyzer.terms(claim.text), _RARITY_UNKNOWN)
    spans = claim.tokens.spans
    for word in _WORD.finditer(claim.text):
        pieces = (spans[:, 0] < word.end()) & (spans[:, 1] > word.start())
        if pieces.any():
            found.update(dict.fromkeys(analyzer.terms(word.group()), float(weights[pieces].max())))
    return found


def _in_common(terms: Sequence[str], others: Sequence[str], length: int) -> float:
    """Share of the claim's runs of so many terms that the text has too."""
    runs, there = (list(zip(*(some[at:] for at in range(length)), strict=False)) for some in (terms, others))
    held = set(there)
    return sum(run in held for run in runs) / max(len(runs), 1)


def _longest_run(said: Sequence[str], shown: Sequence[str]) -> int:
    """Words that stand in both in a row, at most."""
    places: dict[str, list[int]] = {}
    for at, word in enumerate(shown):
        places.setdefault(word, []).append(at)
    longest = 0
    ending: dict[int, int] = {}
    for word in said:
        ending = {at: ending.get(at - 1, 0) + 1 for at in places.get(word, ())}
        longest = max(longest, max(ending.values(), default=0))
    return longest


def _facts(claim: str, read: str, sentence: str) -> dict[str, float]:
    """Figures of numbers, names, negation, hedges and direction; `sentence` is the one that meets the claim best."""
    numbers, there = set(_NUMBER.findall(claim)), set(_NUMBER.findall(read))
    words = itertools.islice(_WORD.findall(claim), 1, None)
    names = {word for word in words if word[0].isupper() and word.casefold() not in FUNCTION_WORDS}
    shown = {word.casefold() for word in _WORD.findall(read)}
    absent = sum(name.casefold() not in shown for name in names)
    negated, text_negated = len(_NEGATED.findall(claim)), len(_NEGATED.findall(sentence))
    hedged, text_hedged = len(_HEDGED.findall(claim)), len(_HEDGED.findall(sentence))
    more, less = len(_MORE.findall(claim)), len(_LESS.findall(claim))
    text_more, text_less = len(_MORE.findall(sentence)), len(_LESS.findall(sentence))
    turned = (more and not less and text_less and not text_more) or (less and not more and text_more and not text_less)
    return {
        "numbers": min(len(numbers), 4),
        "numbers_lacking": min(len(numbers - there), 4),
        "numbers_held": len(numbers & there) / len(numbers) if numbers else 1.0,
        "names": min(len(names), 8),
        "names_lacking": min(absent, 5),
        "names_held": 1 - absent / len(names) if names else 1.0,
        "negated": min(negated, 2),
        "text_negated": min(text_negated, 2),
        "negation_differs": float(negated % 2 != text_negated % 2),
        "negated_alone": float(negated > 0 and not text_negated),
        "text_negated_alone": float(text_negated > 0 and not negated),
        "hedged": min(hedged, 3),
        "text_hedged": min(text_hedged, 3),
        "text_hedged_alone": float(text_hedged > 0 and not hedged),
        "more": min(more, 2),
        "less": min(less, 2),
        "text_more": min(text_more, 2),
        "text_less": min(text_less, 2),
        "direction_differs": float(bool(turned)),
        "direction_held": float(bool((more and text_more) or (less and text_less))),
        "absolute": min(len(_ABSOLUTE.findall(claim)), 3),
        "text_absolute": min(len(_ABSOLUTE.findall(sentence)), 3),
    }
