"""How well a text supports a claim, as one figure: for measuring, and for whoever judges citations by it."""

from __future__ import annotations

from dataclasses import dataclass

from service.ground import COVERAGE_MIN, support_score
from service.sentences import units
from service.verifier import Verifier
from service.windows import likeliest
from store.analyzer import Analyzer
from store.text import canonical

PARTS = 2
"""Parts of a text that a claim's sentence is compared with: those that hold most of its words."""


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
        """0 to 1: of the claim's sentence that the text supports least."""
        claim, evidence = canonical(claim), canonical(evidence)
        sentences = [claim[one.start : one.end] for one in units(claim)] or [claim]
        if self.verifier is None:
            return min(support_score(one, evidence, self.analyzer) for one in sentences)
        return min(self._likely(one, evidence, self.verifier) for one in sentences)

    def _likely(self, sentence: str, evidence: str, verifier: Verifier) -> float:
        analyzer = self.analyzer.of(sentence)
        wanted = set(analyzer.terms(sentence))
        parts = [evidence[start:end] for start, end in likeliest(wanted, evidence, analyzer, PARTS)]
        if not wanted or not parts:
            return 0.0
        covered = [len(wanted.intersection(analyzer.terms(part))) / len(wanted) for part in parts]
        return max(verifier.probabilities(sentence, parts, covered))
