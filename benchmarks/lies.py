"""How many lies the guardrail catches, and how many honest sentences it withholds, on passages that others wrote.

    python -m benchmarks.lies ../shared/data/clapnq-a ../shared/data/covidqa-a corpus/pages [--limit 300] [--show]

Takes sentences of passages, makes lies of them in over twenty ways and honest rewordings in several, and has each
judged with five passages sent, as `POST /v1/answer` does: by words and hard facts alone, and with the support scorer. A
lie is caught if it is withheld, or, where only its marker is wrong, cites the right passage in the end.
"""

from __future__ import annotations

import argparse
import collections
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.sets import read_lines
from service.contract import DocumentHeaderModel, PassageModel, Result, Scores
from service.ground import check, parse
from service.sentences import units
from service.settings import ServiceSettings
from service.verifier import Verifier
from service.wiring import verifier_of
from store.analyzer import Analyzer
from store.settings import load_settings
from store.text import canonical

SENT = 5
"""Passages that an answer is made from."""

PASSAGE_CHARS = 1200
_SENTENCE = re.compile(r"[A-Z][^\n]{38,320}[.]\Z")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{3,}\b(?! [A-Z])")
_NUMBER = re.compile(r"(?<![\w.,-])\d{1,4}(?![\w,-]|\.\d)")
_YEAR = re.compile(r"(?<![\w.,-])(?:1[5-9]|20)\d\d(?![\w,-]|\.\d)")
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_VERB = re.compile(r" (?:is|was|are|were|has|have|had|can|will) ")


@dataclass(frozen=True, slots=True)
class Told:
    """A sentence as a model might write it, about one passage.

    Args:
        kind: what was done to it.
        text: with its marker.
        right: source numbers that may be cited for it; empty: nothing supports it.
    """

    kind: str
    text: str
    right: frozenset[int]


Change = Callable[[str, random.Random, "Others"], str | None]


@dataclass(frozen=True, slots=True)
class Others:
    """What a lie may borrow: names and sentences of passages that are not sent, and of another that is."""

    names: Sequence[str]
    sentences: Sequence[str]
    sent: Sequence[str]


def _swap(pairs: Mapping[str, str]) -> Change:
    """The first of these words that the sentence has, replaced by the other."""
    both = {**pairs, **{other: one for one, other in pairs.items()}}
    return _replace(both)


def _replace(words: Mapping[str, str]) -> Change:
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(words, key=len, reverse=True)))})\b")

    def change(sentence: str, dice: random.Random, others: Others) -> str | None:
        del dice, others
        found = pattern.search(sentence)
        return None if found is None else sentence[: found.start()] + words[found.group()] + sentence[found.end() :]

    return change


def _number(sentence: str, dice: random.Random, others: Others) -> str | None:
    del others
    found = [one for one in _NUMBER.finditer(sentence) if not _YEAR.fullmatch(one.group())]
    if not found:
        return None
    one = dice.choice(found)
    other = str(int(one.group()) + dice.choice([1, 2, 3, 7, 10]))
    return sentence[: one.start()] + other + sentence[one.end() :]


def _year(sentence: str, dice: random.Random, others: Others) -> str | None:
    del others
    found = list(_YEAR.finditer(sentence))
    if not found:
        return None
    one = dice.choice(found)
    return sentence[: one.start()] + str(int(one.group()) + dice.choice([-10, -1, 1, 2, 10])) + sentence[one.end() :]


def _name(sentence: str, dice: random.Random, others: Others) -> str | None:
    found = [one for one in _NAME.finditer(sentence) if one.group() not in _MONTHS]
    names = [name for name in others.names if name not in sentence]
    if not found or not names:
        return None
    one = dice.choice(found)
    return sentence[: one.start()] + dice.choice(names) + sentence[one.end() :]


def _roles(sentence: str, dice: random.Random, others: Others) -> str | None:
    del dice, others
    found = list(dict.fromkeys(one.group() for one in _NAME.finditer(f"the {sentence}")))
    if len(found) < 2:
        return None
    first, second = found[:2]
    turned = {first: second, second: first}
    return re.sub(rf"\b(?:{first}|{second})\b", lambda one: turned[one.group()], sentence)


def _negated(sentence: str, dice: random.Random, others: Others) -> str | None:
    del dice, others
    found = re.search(
        r" (?:is|was|are|were|can|will|should|must|has been|have been)(?= )(?! not| never| no )", sentence
    )
    return None if found is None else f"{sentence[: found.end()]} not{sentence[found.end() :]}"


def _affirmed(sentence: str, dice: random.Random, others: Others) -> str | None:
    del dice, others
    changed = re.sub(r" (?:not|never)(?= )", "", sentence, count=1)
    return None if changed == sentence else changed


def _fused(sentence: str, dice: random.Random, others: Others) -> str | None:
    found = _VERB.search(sentence)
    ends = [(other, verb) for other in others.sent if (verb := _VERB.search(other))]
    if found is None or not ends:
        return None
    other, verb = dice.choice(ends)
    return sentence[: found.start()] + other[verb.start() :]


def _quoted(sentence: str, dice: random.Random, others: Others) -> str | None:
    words = list(re.finditer(r"\b[a-z]{5,}\b", sentence))
    borrowed = [word for other in others.sentences for word in re.findall(r"\b[a-z]{6,}\b", other)]
    borrowed = [word for word in borrowed if word not in sentence]
    if not words or not borrowed:
        return None
    one = dice.choice(words)
    changed = sentence[: one.start()] + dice.choice(borrowed) + sentence[one.end() :]
    return f'The passage says "{changed[:-1]}".'


def _without(pattern: str) -> Change:
    found = re.compile(pattern)

    def change(sentence: str, dice: random.Random, others: Others) -> str | None:
        del dice, others
        changed = found.sub("", sentence, count=1)
        return None if changed == sentence or len(changed) < 30 else changed[0].upper() + changed[1:]

    return change


def _with_clause(sentence: str, dice: random.Random, others: Others) -> str | None:
    clauses = [
        ", which made it known all over Europe",
        ", as several later studies confirmed",
        " because its owner had asked for it",
        ", mostly for reasons of cost",
        " and was sold shortly afterwards",
        ", although nobody had expected that",
    ]
    del others
    return f"{sentence[:-1]}{dice.choice(clauses)}."


def _made_up(sentence: str, dice: random.Random, others: Others) -> str | None:
    del sentence
    return dice.choice(others.sentences) if others.sentences else None


LIES: Mapping[str, Mapping[str, Change]] = {
    "swap": {
        "number": _number,
        "magnitude": _swap({"million": "billion", "hundred": "thousand"}),
        "year": _year,
        "month": _replace({month: _MONTHS[(at + 4) % len(_MONTHS)] for at, month in enumerate(_MONTHS)}),
        "unit": _swap(
            {
                "km": "miles",
                "kilometres": "miles",
                "kilometers": "feet",
                "meters": "yards",
                "metres": "inches",
                "minutes": "hours",
                "seconds": "milliseconds",
                "days": "weeks",
                "months": "years",
                "kg": "mg",
                "mg": "g",
                "percent": "degrees",
            }
        ),
        "name": _name,
    },
    "rest": {
        "negation added": _negated,
        "negation removed": _affirmed,
        "opposite": _swap(
            {
                "increase": "decrease",
                "increased": "decreased",
                "increases": "decreases",
                "higher": "lower",
                "high": "low",
                "large": "small",
                "before": "after",
                "first": "last",
                "north": "south",
                "northern": "southern",
                "early": "late",
                "more": "less",
                "most": "least",
                "best": "worst",
                "success": "failure",
                "true": "false",
                "maximum": "minimum",
                "above": "below",
                "always": "never",
                "enabled": "disabled",
                "positive": "negative",
                "inside": "outside",
                "old": "new",
                "won": "lost",
            }
        ),
        "scope": _replace({"some": "all", "many": "all", "several": "all", "often": "always", "usually": "always"}),
        "quantifier": _swap({"few": "many", "a few": "most", "rarely": "often"}),
        "modality": _replace({"may": "must", "might": "will", "could": "will", "should": "must", "can": "must"}),
        "comparison": _swap({"more than": "less than", "at least": "at most", "up to": "at least", "over": "under"}),
        "ordinal": _swap({"second": "third", "fourth": "fifth", "sixth": "seventh"}),
        "superlative": _swap({"largest": "smallest", "highest": "lowest", "oldest": "youngest", "longest": "shortest"}),
        "exception dropped": _without(r",? (?:except|unless|other than|apart from) [^.,;]+"),
        "condition dropped": _without(r",? (?:only if|if|provided that) [^.,;]+"),
        "roles swapped": _roles,
        "fused sources": _fused,
        "quote altered": _quoted,
        "clause added": _with_clause,
        "made up": _made_up,
    },
}

SYNONYMS = {
    "also": "additionally",
    "because": "since",
    "however": "but",
    "such as": "like",
    "in order to": "to",
    "approximately": "about",
    "located": "situated",
    "usually": "generally",
    "begin": "start",
    "began": "started",
    "known as": "called",
    "due to": "because of",
    "within": "in",
    "although": "though",
}


def _separators(sentence: str, dice: random.Random, others: Others) -> str | None:
    del dice, others
    changed = re.sub(r"(?<=\d),(?=\d{3}\b)", "", sentence)
    return None if changed == sentence else changed


def _date(sentence: str, dice: random.Random, others: Others) -> str | None:
    del dice, others
    months = "|".join([*_MONTHS, "May"])
    changed = re.sub(rf"\b({months}) (\d{{1,2}}), (\d{{4}})", r"\2 \1 \3", sentence)
    return None if changed == sentence else changed


def _unchanged(sentence: str, dice: random.Random, others: Others) -> str | None:
    del dice, others
    return sentence


def _introduced(sentence: str, dice: random.Random, others: Others) -> str | None:
    del dice, others
    return f"According to the passage, {sentence}"


HONEST: Mapping[str, Change] = {
    "verbatim": _unchanged,
    "clause dropped": _without(r", which [^.,;]+"),
    "parenthesis dropped": _without(r" \([^()]*\)"),
    "synonym": _replace(SYNONYMS),
    "without separators": _separators,
    "date rewritten": _date,
    "introduced": _introduced,
}


def told_of(passages: Sequence[str], limit: int, seed: int) -> Iterator[tuple[list[str], Told]]:
    """Sentences, honest and not, each with the passages that were sent."""
    dice = random.Random(seed)  # a sample, not a secret
    order = list(passages)
    dice.shuffle(order)
    counts: collections.Counter[str] = collections.Counter()
    for at in range(len(order) - 2 * SENT):
        sent, unsent = order[at : at + SENT], order[at + SENT : at + 2 * SENT]
        own = sentences_of(sent[0])
        if not own:
            continue
        sentence = dice.choice(own)
        others = Others(
            names=sorted({one for text in unsent for one in _NAME.findall(text)} - set(_MONTHS)),
            sentences=[one for text in unsent for one in sentences_of(text)],
            sent=[one for text in sent[1:] for one in sentences_of(text)],
        )
        dice.shuffle(sent)
        right = frozenset(number for number, text in enumerate(sent, 1) if sentence in text)
        for one in _all_told(sentence, sent, right, dice, others):
            counts[one.kind] += 1
            if counts[one.kind] <= limit:
                yield sent, one


def _all_told(
    sentence: str, sent: Sequence[str], right: frozenset[int], dice: random.Random, others: Others
) -> Iterator[Told]:
    """Everything that is made of one sentence."""
    own = min(right)
    for group, kinds in LIES.items():
        for kind, change in kinds.items():
            lie = change(sentence, dice, others)
            if lie is not None and lie != sentence and not any(lie[:-1] in text for text in sent):
                yield Told(f"{group}: {kind}", f"{lie[:-1]} [{own}].", frozenset())
    wrong = next((number for number in range(1, SENT + 1) if number not in right), None)
    if wrong is not None:
        yield Told("swap: wrong marker", f"{sentence[:-1]} [{wrong}].", right)
    yield Told("swap: invented marker", f"{sentence[:-1]} [{SENT + 4}].", right)
    for kind, change in HONEST.items():
        said = change(sentence, dice, others)
        if said is not None and (kind == "verbatim" or said != sentence):
            yield Told(f"honest: {kind}", f"{said[:-1]} [{own}].", right)


def sentences_of(text: str) -> list[str]:
    """Whole sentences of prose, none with a bracket, as they stand in the text."""
    found = (" ".join(text[one.start : one.end].split()) for one in units(text) if one.kind == "prose")
    return [one for one in found if _SENTENCE.match(one) and one in text and "[" not in one]


def judged(sent: Sequence[str], one: Told, analyzer: Analyzer, verifier: Verifier | None) -> bool:
    """Whether the guardrail did right: let an honest sentence pass, did not let a lie."""
    sources = [_result(text, number) for number, text in enumerate(sent, 1)]
    found = check(parse(one.text, sources), sources, analyzer, verifier)
    cited = {support.source for support in found.supports}
    if one.kind.startswith("honest"):
        return found.verdict == "supported"
    return found.verdict != "supported" or (bool(cited) and cited <= one.right)


def _result(text: str, number: int) -> Result:
    key = f"d{number}"
    passage = PassageModel(id=f"p{number}", document_id=key, text=text, start=0, end=len(text), section=[])
    header = DocumentHeaderModel(id=key, version="v", title="", metadata={})
    return Result(rank=number, score=1.0, scores=Scores(fused=1.0), passage=passage, document=header)


def passages_of(folder: Path) -> list[str]:
    """Passages of a BEIR-style folder, or of a folder of Markdown pages."""
    if folder.is_dir() and any(folder.glob("corpus.jsonl*")):
        texts = [row["text"] for row in read_lines(next(folder.glob("corpus.jsonl*")))]
    else:
        texts = [path.read_text() for path in sorted(folder.rglob("*.md"))]
    parts = []
    for text in map(canonical, texts):
        found = units(text)
        at = 0
        while at < len(found):
            end = at
            while end + 1 < len(found) and found[end + 1].end - found[at].start <= PASSAGE_CHARS:
                end += 1
            parts.append(text[found[at].start : found[end].end])
            at = end + 1
    return [part for part in dict.fromkeys(parts) if len(part) > 200]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--limit", type=int, default=300, help="sentences of a kind, for each set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="print what was judged wrongly")
    asked = parser.parse_args()
    analyzer, verifier = Analyzer(), verifier_of(load_settings(ServiceSettings, index=None))
    ways: dict[str, Verifier | None] = {"hard checks": None}
    if verifier is not None:
        ways["with scorer"] = verifier
    right: dict[str, dict[str, list[bool]]] = {way: collections.defaultdict(list) for way in ways}
    for folder in asked.sets:
        for sent, one in told_of(passages_of(folder), asked.limit, asked.seed):
            for way, scorer in ways.items():
                good = judged(sent, one, analyzer, scorer)
                right[way][one.kind].append(good)
                right[way][f"{one.kind.partition(':')[0]}: ALL"].append(good)
                if asked.show and not good:
                    print(f"{way} | {one.kind} | {one.text}")
    print(f"{'':28}{'n':>7}" + "".join(f"{way:>14}" for way in ways))
    for kind in sorted(right["hard checks"], key=lambda kind: (kind.partition(":")[0], "ALL" in kind, kind)):
        shares = (sum(one[kind]) / len(one[kind]) for one in right.values())
        print(f"{kind:28}{len(right['hard checks'][kind]):>7}" + "".join(f"{share:>14.3f}" for share in shares))


if __name__ == "__main__":
    main()
