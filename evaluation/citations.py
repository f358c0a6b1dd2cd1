"""Citation recall and precision of an answer, as ALCE defines them (Gao et al., EMNLP 2023).

Recall: the share of sentences that all their cited passages together support. Precision: the share of citations that
are needed: their sentence is supported, and they support it alone, or it is not supported without them. Sentences that
claim nothing (`service.ground.no_claim_reason`) count in neither. What ALCE asks a language model is asked of a judge
that always answers the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.contract import Result
from service.ground import Draft, check, is_block
from service.support import SupportCheck
from service.verifier import Verifier
from store.analyzer import Analyzer

Judge = Callable[[str, Sequence[Result]], bool]
"""Whether passages together support a sentence."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence that claims something.

    Args:
        text: without markers.
        cited: the passage of each citation; None for one that was never sent.
    """

    text: str
    cited: tuple[Result | None, ...]


def citation_recall_precision(claims: Sequence[Claim], supports: Judge) -> tuple[float, float]:
    """(recall, precision) of one answer; precision is 0 where it cites nothing. Without claims both are 0."""
    recalled = needed = 0
    for one in claims:
        if not _together(one.text, one.cited, supports):
            continue
        recalled += 1
        needed += sum(_is_needed(one, at, supports) for at in range(len(one.cited)))
    citations = sum(len(one.cited) for one in claims)
    return recalled / max(len(claims), 1), needed / max(citations, 1)


def _is_needed(claim: Claim, at: int, supports: Judge) -> bool:
    alone, rest = claim.cited[at], claim.cited[:at] + claim.cited[at + 1 :]
    return _together(claim.text, [alone], supports) or not _together(claim.text, rest, supports)


def _together(text: str, cited: Sequence[Result | None], supports: Judge) -> bool:
    known = [one for one in cited if one is not None]
    return bool(known) and supports(text, known)


def judges(analyzer: Analyzer, verifier: Verifier | None, support: Verifier | None) -> dict[str, Judge]:
    """By what a figure's name ends with: "" is the guardrail's own check as it is set. Where that has a learned scorer,
    "_by_words" is words and hard facts without it; "_by_scorer" is the scorer of texts of any length alone, which reads
    passages whole.
    """
    found = {"": _by_check(analyzer, verifier)}
    if verifier is not None:
        found["_by_words"] = _by_check(analyzer, None)
    if support is not None:
        found["_by_scorer"] = _by_scorer(SupportCheck(analyzer, support), _by_check(analyzer, None))
    return found


def _by_check(analyzer: Analyzer, verifier: Verifier | None) -> Judge:
    def supports(text: str, cited: Sequence[Result]) -> bool:
        draft = Draft(text, tuple(range(1, len(cited) + 1)), "", "")
        return check(draft, cited, analyzer, verifier).verdict == "supported"

    return supports


def _by_scorer(scorer: SupportCheck, of_code: Judge) -> Judge:
    def supports(text: str, cited: Sequence[Result]) -> bool:
        if is_block(text):  # no scorer reads code
            return of_code(text, cited)
        passages = [" ".join([one.document.title, *one.passage.section]) + "\n" + one.passage.text for one in cited]
        return scorer.score(text, "\n\n".join(passages)) >= scorer.threshold

    return supports
