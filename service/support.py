"""How well a text supports a claim, as one figure: for measuring, and for whoever judges citations by it."""

from __future__ import annotations

from dataclasses import dataclass

from service.ground import COVERAGE_MIN, support_score
from service.sentences import units
from service.support_scorer import PARTS_MAX
from service.verifier import Verifier
from service.windows import likeliest, merged
from store.analyzer import Analyzer
from store.text import canonical

PARTS, PARTS_OF_SEVERAL = 3, 2
"""Windows of a text that a claim is compared with: those that hold most words of its only sentence, or of each."""


@dataclass(frozen=True, slots=True)
class SupportCheck:
    """The learned scorer, or words and hard facts where there is none.

    Args:
        analyzer: tells words from each other.
        verifier: the learned scorer.
    """

    analyzer: Analyzer
    verifier: Verifier | None

    @property
    def threshold(self) -> float:
        """The score from which a claim counts as supported."""
        return COVERAGE_MIN if self.verifier is None else self.verifier.calibration.threshold

    def score(self, claim: str, evidence: str) -> float:
        """0 to 1; by words and hard facts, of the claim's sentence that the text supports least."""
        claim, evidence = canonical(claim), canonical(evidence)
        if self.verifier is None:
            sentences = [claim[one.start : one.end] for one in units(claim)] or [claim]
            return min(support_score(one, evidence, self.analyzer) for one in sentences)
        text = compared(claim, evidence, self.analyzer)
        if not text or not self.analyzer.of(claim).terms(claim):
            return 0.0
        return self.verifier.probabilities(claim, [text])[0]


def compared(claim: str, evidence: str, analyzer: Analyzer) -> str:
    """What of the evidence a claim is compared with: the windows likeliest to say it, in their order."""
    sentences = [claim[one.start : one.end] for one in units(claim)] or [claim]
    count = PARTS if len(sentences) == 1 else PARTS_OF_SEVERAL
    spans: dict[tuple[int, int], None] = {}
    for sentence in sentences:
        terms = analyzer.of(sentence)
        spans.update(dict.fromkeys(likeliest(terms.terms(sentence), evidence, terms, count)))
    return "\n".join(evidence[start:end] for start, end in merged(list(spans)[:PARTS_MAX]))
