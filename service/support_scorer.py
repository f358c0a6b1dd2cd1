"""The scorer of texts of any length: token vectors of a frozen encoder, the figures of `service.support_features`, and
a linear head over them, by which citations are measured. `footnote train verifier` makes one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from service.adapters.token_encoder import TokenEncoder, TokenVectors
from service.sentences import units
from service.support_features import NAMES, Floats, Read, support_features
from service.windows import runs
from store.analyzer import Analyzer
from store.errors import StoreCorrupt

HEAD = "head.json"
CLIP = 4.0
"""Standard deviations from the mean beyond which a figure counts no more: texts of another kind go far."""
SENTENCES_MAX = 16
"""Of a claim; what follows is not read."""
PARTS_MAX = 8
"""Runs of a text that are read."""
NOTHING_SAID = -10.0
"""The score where claim or text has no word."""


@dataclass(frozen=True, slots=True, eq=False)
class SupportHead:
    """A linear model of standardised figures.

    Args:
        names: of the figures, in their order.
        means, scales: float64, shape (figures,): what they are standardised by.
        weights: float64, shape (figures,).
        intercept: what is added.
        rarity: float32, shape (vocabulary,): of each word piece, the logarithm of how many texts there are for each
            that has it (inverse document frequency).
    """

    names: tuple[str, ...]
    means: Floats
    scales: Floats
    weights: Floats
    intercept: float
    rarity: npt.NDArray[np.float32]

    def score(self, figures: Floats) -> float:
        """Larger is better supported; of figures in the order of `names`, shape (figures,)."""
        return float(standardised(figures, self.means, self.scales) @ self.weights + self.intercept)


def standardised(figures: Floats, means: Floats, scales: Floats) -> Floats:
    """Figures of mean 0 and deviation 1 where the head was trained, none beyond CLIP."""
    return np.clip((figures - means) / scales, -CLIP, CLIP)


def write_head(head: SupportHead, path: Path) -> None:
    """JSON: the figures with what belongs to each, and the rarities as they stand in the vocabulary."""
    columns = zip(head.names, head.means.tolist(), head.scales.tolist(), head.weights.tolist(), strict=True)
    figures = {name: {"mean": mean, "scale": scale, "weight": weight} for name, mean, scale, weight in columns}
    kept = {"intercept": head.intercept, "figures": figures, "rarity": [round(one, 2) for one in head.rarity.tolist()]}
    path.write_text(json.dumps(kept) + "\n")


def read_head(path: Path) -> SupportHead:
    """Raises StoreCorrupt for a head of other figures than this program takes."""
    try:
        kept = json.loads(path.read_bytes())
        names = tuple(kept["figures"])
        columns = [[one[name] for one in kept["figures"].values()] for name in ("mean", "scale", "weight")]
        means, scales, weights = (np.array(column, np.float64) for column in columns)
        head = SupportHead(
            names, means, scales, weights, float(kept["intercept"]), np.array(kept["rarity"], np.float32)
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _not_ours(path, f"what cannot be read ({type(error).__name__})") from error
    if names != NAMES:
        raise _not_ours(path, f"one of {len(names)} others")
    return head


def _not_ours(path: Path, found: str) -> StoreCorrupt:
    fix = "Install Footnote again, or make the scorer again with `footnote train verifier`."
    return StoreCorrupt(str(path), f"a head of the {len(NAMES)} figures of this version", found, fix=fix)


class SupportReader:
    """Reads claims and texts, and gives their figures. A claim of several sentences is read as a whole, and has the
    mean of their figures; a question among them claims nothing, but what follows it is read after it.

    Args:
        encoder: gives token vectors.
        rarity: of each word piece.
        analyzer: tells words from each other.
    """

    def __init__(self, encoder: TokenEncoder, rarity: npt.NDArray[np.float32], analyzer: Analyzer) -> None:
        self._encoder = encoder
        self._rarity = rarity
        self._analyzer = analyzer
        self._parts = lru_cache(maxsize=16)(self._read_parts)

    def figures(self, claim: str, text: str) -> Floats | None:
        """float64, shape (len(NAMES),); None where claim or text has no word."""
        parts = self._parts(text)
        spans = [(one.start, one.end) for one in units(claim)] or [(0, len(claim))]
        found = []
        for start, end in asserted(claim, spans):
            read = self._sentence(claim, start, end)
            if len(read.tokens.ids) and parts:
                analyzer = self._analyzer.of(read.text)
                found.append(support_features(read, parts, analyzer, self._rarity, len(spans)))
        return np.mean(found, axis=0) if found else None

    def _sentence(self, claim: str, start: int, end: int) -> Read:
        """A sentence of the claim, its word pieces as they stand in the whole."""
        whole, alone = self._encoder.encode(claim), claim[start:end]
        if alone == claim:
            return Read(claim, whole)
        inside = (whole.spans[:, 0] >= start) & (whole.spans[:, 0] < end)
        tokens = TokenVectors(
            whole.ids[inside],
            whole.spans[inside] - start,
            whole.vectors[:, inside],
            self._encoder.encode(alone).mean,
        )
        return Read(alone, tokens)

    def _read_parts(self, text: str) -> tuple[Read, ...]:
        parts = (text[start:end] for start, end in runs(text)[:PARTS_MAX])
        read = [Read(part, self._encoder.encode(part)) for part in parts]
        return tuple(part for part in read if len(part.tokens.ids))


def asserted(claim: str, sentences: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The spans of a claim's sentences without its questions, unless it has nothing else."""
    read = list(sentences[:SENTENCES_MAX])
    return [(start, end) for start, end in read if "?" not in claim[start:end]] or read


class SupportScorer:
    """What `service.verifier.Verifier` brings to a probability.

    Args:
        reader: gives a claim and a text their figures.
        head: the linear model over them.
    """

    name = "support"

    def __init__(self, reader: SupportReader, head: SupportHead) -> None:
        self._reader = reader
        self._head = head

    def score(self, claim: str, texts: Sequence[str]) -> list[float]:
        """One score for each text, each by itself; larger is better supported."""
        figures = [self._reader.figures(claim, text) for text in texts]
        return [NOTHING_SAID if one is None else self._head.score(one) for one in figures]
