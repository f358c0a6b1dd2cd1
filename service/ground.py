"""The citation guardrail: what a generator wrote is held, sentence by sentence, until it was checked.

A sentence is *known* (every marker is a passage that was sent), *exact* (its quote is a slice of a sent passage) and
*supported* (the slice says what the sentence says). Checks are deterministic: word for word, else what one sentence of
the passage says in like words, in the same order, with no hard fact otherwise. Only far rewordings are for a learned
scorer, and of these only what holds in whatever words is checked before (`conflict_of_meaning`).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from service.contract import Reason, Result, SentenceVerdict
from service.details import figures_conflict, only_voice_differs, wording_conflict
from service.fact_words import listed
from service.facts import conflict, plain, spoken_of
from service.framing import no_claim_reason
from service.harmless import CODE_LANGUAGES
from service.negation import (
    GOVERNING,
    denied_around,
    denied_otherwise,
    introduces_what_is_not,
    labelled_false,
    loses_only,
)
from service.sentences import Unit, refers_back
from service.source_text import TEXTS_KEPT, Source, as_sources, common, compared_windows, terms_of
from service.told_otherwise import conflict_of_meaning
from service.verbatim import find_ignoring_space, whole_lines
from service.verifier import Verifier
from service.voice import comparable, without_address
from service.windows import likeliest
from service.word_order import changed, tokens
from service.wording import in_one_form, unsaid, without_lead_in
from store.analyzer import Analyzer

COVERAGE_MIN = 0.8
"""Share of a reworded sentence's content terms that one span of the passage must hold."""

REPAIRS_MAX = 1
"""Sources that a sentence does not cite, but that the learned scorer is asked about, those that share most words first:
more would take longer than a sentence may.
"""

_SCORED = "english"
"""The language of which the learned scorer is asked: it knows words of no other, nor do most hard checks."""
_HEADER_CHARS_MAX = 160
"""Of title and section path that the scorer reads before a sentence."""
_MARKER = re.compile(r"\s*\[(\d{1,3})\]")
_MARKERS_LAST = re.compile(r"(?P<markers>(?:\s*\[\d{1,3}\])+)(?P<stop>)\s*$")
_MARKERS_BEFORE_STOP = re.compile(r"(?P<markers>(?:\s*\[\d{1,3}\])+)(?P<stop>[.!?…。！？]*)\s*$")  # noqa: RUF001
_SPACE = re.compile(r"\s+")
_CLOSERS = " \t\n\"')\u201d\u2019*_"
_ASKS = ("?", "\uff1f", "\u061f")
_QUOTED = re.compile(r"[\"\u201c\u201e\u00ab]\s?([^\"\u201c\u201d\u201e\u00ab\u00bb]+?)\s?[\"\u201d\u201c\u00bb]")
_JOINTS = re.compile(r"[;,] (?:and |but |while |whereas )?|\s(?:and|but|while|whereas) ")
_ADDED_MIN = 2  # words of substance that stand where the quote has none
_JOINED_WORDS_MIN = 3
_JOINTS_MAX = 8  # at which a sentence is tried as two
_STOPS_MAX = 3  # characters that a sentence has beyond a part of it that says the same
_FENCE_OPENS = re.compile(r"^\s{0,3}(?:```|~~~)")
# After the opening fence only a language's name: whatever else stood there would be shown and checked by nobody.
_FENCE = re.compile(
    rf"^\s{{0,3}}(?:```|~~~)[ \t]*(?:{CODE_LANGUAGES})?[ \t]*\n(.*?)\n?\s{{0,3}}(?:```|~~~)\s*$",
    re.DOTALL | re.IGNORECASE,
)
_ITEM_NUMBER = re.compile(r"^\s{0,8}\d{1,2}[.)]\s+(?=\S)")
_AS_ORDINALS = frozenset(listed("german danish norwegian finnish czech hungarian polish turkish estonian serbian"))
"""Languages in which a number with a full stop says which one, also where a sentence begins."""
_INTRODUCED = re.compile(r"[:\uff1a]\s*$")


@dataclass(frozen=True, slots=True)
class Draft:
    """A sentence as a generator wrote it.

    Args:
        claim: its text without markers and surrounding white space.
        markers: the source numbers it cites, in order.
        before, after: the white space around it, which the answer keeps.
    """

    claim: str
    markers: tuple[int, ...]
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Support:
    """A source that supports a sentence: results[source - 1].passage.text[start:end], and how well (0 to 1)."""

    source: int
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one sentence. `score` is the best support seen, whatever the verdict."""

    verdict: SentenceVerdict
    reason: Reason | None
    supports: tuple[Support, ...]
    score: float
    repaired: bool = False


def parse(piece: str, sources: Sequence[Result] = ()) -> Draft:
    """Take markers and surrounding white space off a piece of a generator's text.

    A bracketed number within a sentence may be the source's own (`schedule[1]`): it stays where what is left without
    the markers at the end stands word for word in a source that these cite.
    """
    for pattern in (_MARKERS_LAST, _MARKERS_BEFORE_STOP):
        match = pattern.search(piece)
        if match is None or _MARKER.search(piece[: match.start()]) is None:
            continue
        claim = (piece[: match.start()] + match.group("stop")).strip()
        markers = tuple(dict.fromkeys(map(int, re.findall(r"\d+", match.group("markers")))))
        cited = [sources[number - 1].passage.text for number in markers if 1 <= number <= len(sources)]
        if any(find_ignoring_space(text, claim) for text in cited):
            return _draft(piece, claim, markers)
    markers = tuple(dict.fromkeys(int(number) for number in _MARKER.findall(piece)))
    return _draft(piece, _MARKER.sub("", piece).strip(), markers)


def _draft(piece: str, claim: str, markers: tuple[int, ...]) -> Draft:
    leading = piece[: len(piece) - len(piece.lstrip())]
    return Draft(claim, markers, leading, piece[len(piece.rstrip()) :])


def check(draft: Draft, sources: Sequence[Result], analyzer: Analyzer, verifier: Verifier | None = None) -> Finding:
    """Judge one sentence against the sources that were sent. Pure; a few milliseconds, and with a learned scorer one
    call of it for what it cites and one for the rest.

    A sentence whose own markers do not support it, but which another source does, is repaired: it cites that one. The
    scorer is asked only of far rewordings: what words or a hard check decide stays decided.
    """
    nothing = no_claim_reason(draft.claim)
    if nothing is not None:
        return Finding("no_claim", nothing, (), 0.0)
    known = [number for number in draft.markers if 1 <= number <= len(sources)]
    compared = as_sources(sources, _own(draft.claim, analyzer))
    cited = [_support(draft.claim, number, compared[number - 1], analyzer) for number in known]
    if verifier is not None and not any(one.support for one in cited):
        cited = _by_meaning(draft.claim, cited, compared, analyzer, verifier)
    good = tuple(one.support for one in cited if one.support is not None)
    best = max((one.score for one in cited), default=0.0)
    if good and len(known) == len(draft.markers):
        return Finding("supported", None, good, best)
    others = [
        _support(draft.claim, number, source, analyzer)
        for number, source in enumerate(compared, 1)
        if number not in known
    ]
    if verifier is not None and not good and not any(one.support for one in others):
        others.sort(key=lambda one: (_is_decided(one), -one.score))
        others = _by_meaning(draft.claim, others[:REPAIRS_MAX], compared, analyzer, verifier) + others[REPAIRS_MAX:]
    repaired = max((one.support for one in others if one.support is not None), key=lambda one: one.score, default=None)
    if good or repaired is not None:
        supports = good or ((repaired,) if repaired is not None else ())
        return Finding("supported", None, supports, max(one.score for one in supports), repaired=True)
    best = max([best, *(one.score for one in others)])
    return Finding("unsupported", _reason(draft, known, cited, others), (), best)


def prepare(sources: Sequence[Result], analyzer: Analyzer) -> None:
    """Look at the sources as every check will, so that the first one does not have to: done while the model thinks.
    Kept by their texts; some milliseconds.
    """
    for one in sources:
        own = analyzer.of(one.passage.text)
        terms_of(one.passage.text, own)
        compared_windows(one.passage.text, own)


def is_block(claim: str) -> bool:
    """Whether a unit is a fenced block of code."""
    return _FENCE_OPENS.match(claim) is not None


@dataclass(frozen=True, slots=True)
class _Judged:
    """What one source says to a claim; `reason` is why it does not support it, where it does not."""

    source: int
    support: Support | None
    score: float
    reason: Reason = "not_supported"


def _support(claim: str, number: int, source: Source, analyzer: Analyzer) -> _Judged:
    text = source.text
    if is_block(claim):
        code = _FENCE.match(claim)
        lines = None if code is None or not code.group(1).strip() else whole_lines(text, code.group(1))
        if lines is not None:
            return _Judged(number, Support(number, *lines, 1.0), 1.0)
        return _Judged(number, None, 0.0, "code_not_exact")
    exact = _exact(claim, number, source)
    if exact is not None:
        return exact
    if source.language not in _AS_ORDINALS:
        claim = _ITEM_NUMBER.sub("", claim)
    bare = without_lead_in(claim)
    if bare != claim and (exact := _exact(bare, number, source)) is not None:
        return exact
    for quoted in _QUOTED.findall(claim):
        if find_ignoring_space(text, quoted.strip(" ,.;:!?")) is None:
            return _Judged(number, None, 0.0, "quote_not_exact")
    judged = _reworded(bare, number, source, analyzer)
    if judged.support is None:
        return _joined(bare, number, source, analyzer) or judged
    return judged


def _exact(claim: str, number: int, source: Source) -> _Judged | None:
    """Word for word; a sentence's first letter may be another case. A part of a sentence must not lose what the rest
    says of it.
    """
    text = source.text
    found = _word_for_word(claim, text)
    if found is None:
        return None
    around = [one for one in source.units if one.start < found[1] and found[0] < one.end]
    before = text[around[0].start : found[0]] if around else ""
    after = text[found[1] : around[-1].end] if around else ""
    if denied_around(before, after, source.language) or (around and _introduced_as_not(text, around[0], source)):
        return _Judged(number, None, 1.0, "negation_mismatch")
    if after.rstrip(_CLOSERS).endswith(_ASKS) and not claim.endswith(_ASKS):
        return _Judged(number, None, 1.0, "not_supported")
    part = len(around) == 1 and around[0].kind in ("prose", "item")
    whole = text[around[0].start : around[0].end] if part else claim
    if len(_SPACE.sub(" ", whole)) > len(_SPACE.sub(" ", claim)) + _STOPS_MAX:
        reason = _said_otherwise(claim, whole, source)
        if reason is not None:
            return _Judged(number, None, 1.0, reason)
    return _Judged(number, Support(number, *found, 1.0), 1.0)


def _introduced_as_not(text: str, unit: Unit, source: Source) -> bool:
    """Whether a unit is an item of a list whose introduction says that its items are not so ("Never do this:")."""
    if unit.kind != "item":
        return False
    before = [one for one in source.units if one.end <= unit.start and one.kind != "item"]
    if not before:
        return False
    line = text[before[-1].start : before[-1].end]
    return _INTRODUCED.search(line) is not None and introduces_what_is_not(line)


def _word_for_word(claim: str, text: str) -> tuple[int, int] | None:
    first = claim[:1]
    other_case = (first.lower() if first.isupper() else first.upper()) + claim[1:]
    return find_ignoring_space(text, claim) or find_ignoring_space(text, other_case)


def _joined(claim: str, number: int, source: Source, analyzer: Analyzer) -> _Judged | None:
    """Two statements in one sentence, each of which one of two neighbouring sentences makes, the second whole."""
    for joint in itertools.islice(_JOINTS.finditer(claim), _JOINTS_MAX):
        left, right = claim[: joint.start()].strip(), claim[joint.end() :].strip()
        if min(len(left.split()), len(right.split())) < _JOINED_WORDS_MIN:
            continue
        found = _word_for_word(right, source.text)
        if found is None:
            continue
        before = source.text[: found[0]].rstrip()
        neighbour = next((one for one in reversed(source.units) if one.end == len(before)), None)
        if neighbour is None:
            continue
        alone = replace(source, text=before[neighbour.start : neighbour.end])
        first = _exact(left, number, alone) or _reworded(left, number, alone, analyzer)
        second = _exact(right, number, source) if first.support is not None else None
        if second is not None and second.support is not None:
            score = min(first.score, second.score)
            return _Judged(number, Support(number, neighbour.start, second.support.end, score), score)
    return None


def _reworded(claim: str, number: int, source: Source, analyzer: Analyzer) -> _Judged:
    analyzer = _own(claim, analyzer)
    wanted = _wanted(claim, analyzer)
    if not wanted:
        return _Judged(number, None, 0.0)
    best, held = None, frozenset[str]()
    for start, end, terms in compared_windows(source.text, analyzer):
        covered = len(wanted & terms) / len(wanted)
        if (
            best is None
            or covered > best.score + 1e-9
            or (covered >= best.score and end - start < best.end - best.start)
        ):
            best, held = Support(number, start, end, covered), terms
    if best is None:
        return _Judged(number, None, 0.0)
    if best.score >= COVERAGE_MIN:
        return _compared(claim, best, source, analyzer)
    if len(unsaid(wanted, held)) <= (1 - COVERAGE_MIN) * len(wanted):  # in words of which others say the same
        judged = _compared(claim, best, source, analyzer)
        if judged.support is not None:
            return judged
    return _Judged(number, None, best.score)


@lru_cache(maxsize=TEXTS_KEPT)
def _own(claim: str, analyzer: Analyzer) -> Analyzer:
    """The analyzer of the language that a claim is in."""
    return analyzer.of(claim)


@lru_cache(maxsize=TEXTS_KEPT)
def _wanted(claim: str, analyzer: Analyzer) -> frozenset[str]:
    """The terms of a claim, of which its source must have most; every source is looked through for them."""
    return frozenset(analyzer.terms(plain(in_one_form(without_address(claim)))))


def _compared(claim: str, best: Support, source: Source, analyzer: Analyzer) -> _Judged:
    """What the part of a source that holds most of a claim's words says to it."""
    number = best.source
    claim, quote = comparable(claim, source.text[best.start : best.end])
    reason = _said_otherwise(claim, quote, source)
    if reason is None and _is_denied(claim, quote, best.start, source):
        reason = "negation_mismatch"
    if reason is None and _only_asks(claim, quote):
        return _Judged(number, None, best.score, "not_supported")
    claimed, quoted = (frozenset(analyzer.terms(plain(one))) for one in (claim, quote))
    said = quoted.union(analyzer.terms(source.header))
    new = _new(claimed, said, analyzer)
    if reason is None and new & source.sent:  # of another sentence or source: what that says, this does not
        reason = "fused_sources"
    if reason is None:
        reason = _grafted(claim, quote, claimed, quoted, said, analyzer)
    return _Judged(number, None if reason or new else best, best.score, reason or "not_supported")


def _new(claimed: frozenset[str], said: frozenset[str], analyzer: Analyzer) -> set[str]:
    """Of a claim's terms those that what is compared with it, its title among it, says in no words."""
    missing = claimed - said - common(analyzer)
    return unsaid([one for one in missing if not one[0].isdigit()], said)


def _said_otherwise(claim: str, quote: str, source: Source) -> Reason | None:
    """What a claim of much the same words says otherwise than the quote; None: nothing."""
    reason = conflict(claim, quote, source.header)
    if reason == "order_mismatch" and only_voice_differs(claim, quote):
        reason = None
    reason = reason or figures_conflict(claim, quote) or wording_conflict(claim, quote)
    return reason or ("scope_mismatch" if loses_only(claim, quote, source.language) else None)


def _is_denied(claim: str, quote: str, start: int, source: Source) -> bool:
    """Whether the quote, or the line that introduces it, denies what the claim affirms, or the other way round."""
    shown = plain(quote) if "(" in claim else spoken_of(claim, plain(quote))
    if denied_otherwise(plain(claim), shown, source.language):
        return True
    return _is_taken_back(claim, quote, start, source)


def _is_taken_back(claim: str, quote: str, start: int, source: Source) -> bool:
    """Whether the quote stands there as what is not so, or not done: by its label, or by what introduces it."""
    unit = next((one for one in source.units if one.start == start), None)
    introduced = unit is not None and _introduced_as_not(source.text, unit, source)
    return introduced or (labelled_false(quote) and not labelled_false(claim))


def _only_asks(claim: str, quote: str) -> bool:
    return quote.rstrip(_CLOSERS).endswith(_ASKS) and not claim.endswith(_ASKS)


def _grafted(
    claim: str, quote: str, claimed: frozenset[str], quoted: frozenset[str], known: frozenset[str], analyzer: Analyzer
) -> Reason | None:
    """Whether the claim adds something that the quote has nothing for, or leaves out what the quote speaks of.

    Args:
        claimed, quoted: the terms of both.
        known: those of the quote and of its document's title.
    """
    words, shown = tokens(plain(claim)), tokens(plain(quote))
    for number, (at_claim, at_quote) in enumerate(changed(words, shown)):
        here, there = words[at_claim], shown[at_quote]
        here_terms, there_terms = (set(analyzer.terms(" ".join(part))) for part in (here, there))
        if unsaid(there_terms, claimed) and unsaid(here_terms, quoted):  # one word in another's place
            return "not_supported"
        added = unsaid(here_terms, known)
        gap = len(there_terms)
        if len(added - common(analyzer)) >= max(_ADDED_MIN, 2 * gap):
            return "not_supported"
        if number == 0 and at_quote.start == 0 and _other_subject(there, quote, claimed, analyzer):
            return "fused_sources"
    return None


def _other_subject(left_out: Sequence[str], quote: str, claimed: frozenset[str], analyzer: Analyzer) -> bool:
    """Whether the words that a quote begins with, and the claim does not have, name who or what it speaks of: alone, or
    before what they govern ("the wife of | the king").
    """
    if not left_out or "," in left_out or left_out[-1] == "that" or refers_back(quote, 0):
        return False
    head = [*itertools.takewhile(lambda one: one not in GOVERNING, left_out)]
    return any(
        not named & claimed and unsaid(named, claimed)
        for words in (left_out, head)
        if (named := set(analyzer.terms(" ".join(words))) - common(analyzer))
    )


def _by_meaning(
    claim: str, judged: Sequence[_Judged], compared: Sequence[Source], analyzer: Analyzer, verifier: Verifier
) -> list[_Judged]:
    """The same sources judged by the learned scorer where neither words nor a hard check decided, each by the sentence
    that says most of the claim. Where nearly all words of a claim are the source's, the one that is not is what it
    adds, or words of several sentences are made into one that none says; no scorer of this size sees that: such a claim
    is decided.
    """
    analyzer = analyzer.of(claim)
    if is_block(claim) or analyzer.main != _SCORED or not _mostly_latin(claim):
        return list(judged)
    wanted = _wanted(claim, analyzer)
    found = {one.source: one for one in judged}
    parts: dict[int, tuple[int, int]] = {}
    for one in judged:
        source = compared[one.source - 1]
        if _is_decided(one) or not wanted or not source.units or _said_here_and_there(wanted, source, analyzer):
            continue
        start, end = _nearest(wanted, source, analyzer)
        if not _speaks_against(claim, start, end, source, analyzer):
            parts[one.source] = (start, end)
    texts = {number: compared[number - 1].text[slice(*part)] for number, part in parts.items()}
    likely = verifier.probabilities(
        claim,
        [f"{compared[number - 1].header[:_HEADER_CHARS_MAX]}\n{text}" for number, text in texts.items()],
    )
    for (number, part), score in zip(parts.items(), likely, strict=True):
        accepted = Support(number, *part, score) if score >= verifier.calibration.accept_from else None
        found[number] = _Judged(number, accepted, score)
    return [found[one.source] for one in judged]


def _speaks_against(claim: str, start: int, end: int, source: Source, analyzer: Analyzer) -> bool:
    """Whether a sentence of a source says otherwise than the claim, as far as words tell, or does not say it: a far
    rewording shares too little with it to tell the reader which.
    """
    quote = source.text[start:end]
    if _only_asks(claim, quote) or _is_taken_back(claim, quote, start, source):
        return True
    if conflict_of_meaning(claim, quote, source.header) is not None:
        return True
    return _takes_from_elsewhere(*comparable(claim, quote), source, analyzer)


def _is_decided(judged: _Judged) -> bool:
    """Whether words or a hard check decided, so that the scorer is not asked."""
    return judged.support is not None or judged.reason != "not_supported" or judged.score >= COVERAGE_MIN


def _takes_from_elsewhere(claim: str, quote: str, source: Source, analyzer: Analyzer) -> bool:
    """Whether a claim has words of another sentence or source: what that says, the quote does not."""
    said = frozenset(analyzer.terms(plain(quote))).union(analyzer.terms(source.header))
    return not source.sent.isdisjoint(_new(frozenset(analyzer.terms(plain(claim))), said, analyzer))


def _mostly_latin(text: str) -> bool:
    """Whether most letters are of the script that the scorer reads: an index's own language is no other text's."""
    letters = [one for one in text if one.isalpha()]
    return 2 * sum(one < "\u0250" for one in letters) > len(letters)


def _said_here_and_there(wanted: frozenset[str], source: Source, analyzer: Analyzer) -> bool:
    """Whether some sentences after each other have nearly all of the wanted terms, which no one of them has."""
    run = next(iter(likeliest(wanted, source.text, analyzer, 1)), None)
    held = () if run is None else analyzer.terms(source.text[slice(*run)])
    return len(wanted.intersection(held)) >= COVERAGE_MIN * len(wanted)


def _nearest(wanted: frozenset[str], source: Source, analyzer: Analyzer) -> tuple[int, int]:
    """The window that says most of the wanted terms, in whatever words; of equal ones the shortest. One that speaks of
    what comes before it is none alone.
    """
    header, text = set(analyzer.terms(source.header)), source.text
    windows = compared_windows(text, analyzer)
    alone = [one for one in windows if one[0] == 0 or not refers_back(text, one[0])] or windows
    start, end, _ = min(alone, key=lambda one: (len(unsaid(wanted, header | one[2])), one[1] - one[0]))
    return start, end


def support_score(claim: str, evidence: str, analyzer: Analyzer) -> float:
    """How well a text supports a claim, 0 to 1: what `check` compares with COVERAGE_MIN, a failed hard check as 0."""
    own = analyzer.of(claim)
    judged = _support(claim, 1, Source(evidence, "", frozenset(own.terms(evidence)), own.main), analyzer)
    return judged.score if judged.support is not None or judged.reason == "not_supported" else 0.0


def _reason(draft: Draft, known: Sequence[int], cited: Sequence[_Judged], others: Sequence[_Judged]) -> Reason:
    if len(known) < len(draft.markers):
        return "unknown_marker"
    nearest = max([*cited, *others], key=lambda one: (one.score, one.reason != "not_supported"), default=None)
    if nearest is not None and nearest.reason != "not_supported":
        return nearest.reason
    return "not_supported" if draft.markers else "no_citation"
