"""What the guardrail catches: lies made by rule of sentences of real passages, five passages sent.

    python -m benchmarks.lies ../shared/data/clapnq-a ../shared/data/covidqa-a corpus/pages [--each 60] [--examples 3]

A lie counts as caught when the sentence is withheld; a wrong or invented marker also when it was repaired to a passage
that has the sentence. Honest sentences are word for word or reworded by rule. The guardrail is the one that is set:
FOOTNOTE_VERIFIER=none leaves the learned scorer out. Rules and word lists were made on squad2-a, scifact and
hotpotqa-sample-a.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.lie_kinds import HONEST, LIES, Kind, Place
from benchmarks.passages import Text, passages, sources
from service.contract import Result
from service.ground import Draft, Finding, check
from service.sentences import units
from service.settings import ServiceSettings
from service.verbatim import find_ignoring_space
from service.verifier import Verifier
from service.wiring import verifier_of
from store.analyzer import Analyzer
from store.settings import load_settings

SENT = 5
SENTENCES_MAX = 3_000
"""Of each set; a kind that fits few sentences has fewer."""
STRICT = ("number", "unit", "date", "name", "marker")
"""Groups of which 99 in 100 are to be caught; of the others 90."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One sentence that was checked: `good` is caught for a lie, let through for an honest one."""

    group: str
    kind: str
    good: bool
    claim: str
    source: str
    finding: Finding


def places(texts: Sequence[Text], rng: random.Random) -> Iterator[tuple[Place, list[Result], int]]:
    """Sentences in random order, each with the passages sent (neighbours of its own first) and its own's number."""
    found = [(row, one) for row, text in enumerate(texts) for one in sentences_of(text.text)]
    rng.shuffle(found)
    for row, (sentence, following) in found:
        near = [at % len(texts) for at in range(row - 2, row + 3) if at % len(texts) != row]
        rows = [row, *dict.fromkeys(near)][:SENT]
        rng.shuffle(rows)
        others = tuple(texts[one].text for one in rows if one != row)
        if any(sentence in other for other in others):
            continue
        unsent = texts[(row + len(texts) // 2) % len(texts)].text
        place = Place(sentence, texts[row].text, others, unsent, following)
        yield place, sources([texts[one] for one in rows]), rows.index(row) + 1


def sentences_of(text: str) -> Iterator[tuple[str, str | None]]:
    """Whole sentences of prose, each with the one after it in the same paragraph."""
    found = [one for one in units(text) if one.kind == "prose"]
    for number, one in enumerate(found):
        sentence = text[one.start : one.end]
        whole = sentence[:1].isupper() and sentence.endswith(".") and "\n" not in sentence and "[" not in sentence
        if not whole or not 40 <= len(sentence) <= 320 or sentence.count('"') % 2:
            continue
        after = text[found[number + 1].start : found[number + 1].end] if number + 1 < len(found) else ""
        beside = number + 1 < len(found) and not text[one.end : found[number + 1].start].strip(" ")
        yield sentence, after if beside and after.endswith(".") and "\n" not in after else None


def run(texts: Sequence[Text], *, each: int, seed: int, verifier: Verifier | None) -> list[Outcome]:
    """Checks up to `each` sentences of every kind. Deterministic."""
    analyzer = Analyzer()
    outcomes: list[Outcome] = []
    left = {kind.name: each for kind in LIES} | dict.fromkeys(HONEST, each)
    for tries, (place, sent, number) in enumerate(places(texts, random.Random(seed)), 1):
        rng = random.Random(f"{seed} {place.sentence}")
        for kind in LIES:
            claim = kind.make(place, rng) if left[kind.name] > 0 else None
            if claim is not None and (kind.group == "marker" or _differs(claim, place)):
                finding = check(Draft(claim, _markers(kind, number), "", " "), sent, analyzer, verifier)
                outcomes.append(
                    Outcome(
                        kind.group,
                        kind.name,
                        _caught(kind, claim, number, finding, sent),
                        claim,
                        place.sentence,
                        finding,
                    )
                )
                left[kind.name] -= 1
        for name, rule in HONEST.items():
            claim = rule(place, rng) if left[name] > 0 else None
            if claim is not None:
                finding = check(Draft(claim, (number,), "", " "), sent, analyzer, verifier)
                outcomes.append(Outcome("honest", name, finding.verdict == "supported", claim, place.sentence, finding))
                left[name] -= 1
        if not any(left.values()) or tries >= SENTENCES_MAX:
            break
    return outcomes


def _differs(claim: str, place: Place) -> bool:
    plain = re.sub(r"\W+", " ", claim.strip("\u201c\u201d")).strip()
    return plain not in re.sub(r"\W+", " ", place.all_sent) and plain != claim.strip()[:0]


def _markers(kind: Kind, number: int) -> tuple[int, ...]:
    wrong = number % SENT + 1
    return {"right": (number,), "wrong": (wrong,), "invented": (SENT + 3,), "both": (number, SENT + 3)}[kind.markers]


def _caught(kind: Kind, claim: str, number: int, finding: Finding, sent: Sequence[Result]) -> bool:
    if finding.verdict != "supported":
        return True
    if kind.group != "marker":
        return False
    right = {number} | {one for one, result in enumerate(sent, 1) if find_ignoring_space(result.passage.text, claim)}
    return finding.repaired and {support.source for support in finding.supports} <= right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+", help="folders with corpus.jsonl, qa.jsonl or HTML pages")
    parser.add_argument("--each", type=int, default=60, help="sentences of a kind from each set")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--examples", type=int, default=0, help="wrong verdicts of each kind to print")
    asked = parser.parse_args()
    verifier = verifier_of(load_settings(ServiceSettings, index=None))
    outcomes = [
        one
        for folder in asked.sets
        for one in run(passages(folder), each=asked.each, seed=asked.seed, verifier=verifier)
    ]
    print("\n".join([*table(outcomes), *examples(outcomes, asked.examples)]))


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """Rates by group and kind; honest sentences last."""
    groups = dict.fromkeys([*STRICT, *(one.group for one in outcomes if one.group != "honest")])
    rows = []
    for group in groups:
        members = [one for one in outcomes if one.group == group]
        if members:
            rows.append(f"{_rate(members):6.1%} caught of {len(members):5}  {group.upper()}")
            rows += [f"   {_rate(part):6.1%} of {len(part):4}  {kind}" for kind, part in _by_kind(members).items()]
    rest = [one for one in outcomes if one.group not in (*STRICT, "honest")]
    strict = [one for one in outcomes if one.group in STRICT]
    honest = [one for one in outcomes if one.group == "honest"]
    rows.append(f"{_rate(strict):6.1%} caught of {len(strict):5}  {', '.join(STRICT)} (wanted: 99 %)")
    rows.append(f"{_rate(rest):6.1%} caught of {len(rest):5}  the rest (wanted: 90 %)")
    rows.append(f"{1 - _rate(honest):6.1%} withheld of {len(honest):5} honest sentences (wanted: at most 5 %)")
    rows += [f"   {1 - _rate(part):6.1%} of {len(part):4}  {kind}" for kind, part in _by_kind(honest).items()]
    return rows


def _by_kind(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = defaultdict(list)
    for one in outcomes:
        found[one.kind].append(one)
    return found


def _rate(outcomes: Sequence[Outcome]) -> float:
    return sum(one.good for one in outcomes) / len(outcomes) if outcomes else 1.0


def examples(outcomes: Sequence[Outcome], count: int) -> Iterator[str]:
    """Some wrong verdicts of each kind."""
    for kind, part in _by_kind([one for one in outcomes if not one.good]).items():
        for one in part[:count]:
            told = f"{one.finding.verdict} {one.finding.reason or ''} {one.finding.score:.2f}"
            yield f"\n[{kind}] {told}\n  claim:  {one.claim}\n  source: {one.source}"


if __name__ == "__main__":
    main()
