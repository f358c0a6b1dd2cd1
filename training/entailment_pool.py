"""Pairs without a label, for teachers to label: sentences beside their rewordings, and beside sentences like them."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.progress import Progress
from service.sentences import units
from store.embedding import Vectors
from store.text import canonical
from training.pair_network import Pair
from training.rewordings import WordNet, reworded
from training.rows import TrainingText

TEXT_CHARS, TEXT_UNITS = 1800, 14
"""Of a text so much from its beginning is looked at."""
SENTENCES_OF_A_TEXT = 6
SENTENCE_CHARS = (40, 320)
AROUND_CHARS_MAX = 250
TITLE_CHARS_MAX = 80
REWORDINGS_OF_A_SENTENCE = 2

NEAREST = 8
LIKENESS = (0.45, 0.97)
"""Cosines of sentences that are about the same and do not say the same."""
NEIGHBOURS_OF_A_SENTENCE = 2

_AROUND_CHANCE, _TITLE_CHANCE = 0.3, 0.5
_BLOCK = 512  # sentences compared with all others at once: 300 MB where there are 150,000


@dataclass(frozen=True, slots=True)
class Drawn:
    """A sentence of a text.

    Args:
        sentence: 40 to 320 characters, ending in a full stop.
        title: of its text, or "".
        around: the sentence, with the one before and the one after it at times.
        other: another sentence of the text, or the same where it has one only.
    """

    sentence: str
    title: str
    around: str
    other: str


def drawn_sentences(texts: Iterable[TrainingText], dice: random.Random, progress: Progress) -> list[Drawn]:
    """Of each text at most six sentences, none twice."""
    seen: set[str] = set()
    found: list[Drawn] = []
    for text in texts:
        sentences = _sentences(text.text)
        places = [place for place, one in enumerate(sentences) if _stands_alone(one) and one not in seen]
        if len(places) > SENTENCES_OF_A_TEXT:
            places = sorted(dice.sample(places, SENTENCES_OF_A_TEXT))
        for place in places:
            if sentences[place] not in seen:
                seen.add(sentences[place])
                around = _around(sentences, place, dice)
                found.append(Drawn(sentences[place], text.title[:TITLE_CHARS_MAX], around, dice.choice(sentences)))
        progress.advance()
    return found


def reworded_pairs(drawn: Sequence[Drawn], wordnet: WordNet, dice: random.Random, progress: Progress) -> list[Pair]:
    """Rewordings of each sentence as claims, beside the sentence in its surroundings."""
    pairs: list[Pair] = []
    for one in drawn:
        made = [reworded(one.sentence, one.other, wordnet, dice) for _ in range(REWORDINGS_OF_A_SENTENCE)]
        beside = _titled(one.title, one.around, dice)
        pairs.extend((claim, beside) for claim in made if claim is not None)
        progress.advance()
    return pairs


def neighbour_pairs(drawn: Sequence[Drawn], vectors: Vectors, dice: random.Random, device: str) -> list[Pair]:
    """Each sentence as a claim, beside at most two drawn of those that are like it.

    Args:
        drawn: the sentences.
        vectors: theirs, shape (sentences, dimension), rows of unit length.
        dice: which neighbours are taken.
        device: where they are compared.
    """
    pairs: list[Pair] = []
    for one, near in zip(drawn, _near(vectors, device), strict=True):
        chosen = [drawn[place] for place in dice.sample(near, min(len(near), NEIGHBOURS_OF_A_SENTENCE))]
        pairs.extend((one.sentence, _titled(other.title, other.sentence, dice)) for other in chosen)
    return pairs


def vectors_of(drawn: Sequence[Drawn], model: Path, device: str) -> Vectors:
    """The sentences' vectors by the embedding model of a folder, float32, rows of unit length."""
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    embedder = SentenceTransformer(str(model), device=device, local_files_only=True)
    vectors: Vectors = embedder.encode(
        [one.sentence for one in drawn],
        batch_size=256,
        convert_to_numpy=True,
        normalize_embeddings=True,
        show_progress_bar=False,
    )
    return vectors


def _near(vectors: Vectors, device: str) -> list[list[int]]:
    """Of each row the places of those among its nearest whose cosine says that they are about the same."""
    import torch

    everything = torch.from_numpy(vectors).to(device)
    if device == "cuda":
        everything = everything.to(torch.bfloat16)
    least, most = LIKENESS
    found: list[list[int]] = []
    for at in range(0, len(vectors), _BLOCK):
        block = everything[at : at + _BLOCK] @ everything.T
        cosines, places = (one.tolist() for one in block.float().topk(min(NEAREST + 1, len(vectors)), dim=1))
        for row, (its_cosines, its_places) in enumerate(zip(cosines, places, strict=True), at):
            alike = zip(its_cosines, its_places, strict=True)
            found.append([place for cosine, place in alike if least < cosine < most and place != row])
    return found


def _sentences(text: str) -> list[str]:
    """The sentences that the text begins with, each on one line."""
    text = canonical(text)[:TEXT_CHARS]
    spans = [text[one.start : one.end] for one in units(text)[:TEXT_UNITS] if one.kind == "prose"]
    return [re.sub(r"\s+", " ", one).strip() for one in spans]


def _stands_alone(sentence: str) -> bool:
    shortest, longest = SENTENCE_CHARS
    whole = shortest <= len(sentence) <= longest and sentence[-1] == "." and sentence[0].isupper()
    return whole and sentence.count(" ") > 5


def _around(sentences: Sequence[str], place: int, dice: random.Random) -> str:
    before = sentences[place - 1] if place and dice.random() < _AROUND_CHANCE else ""
    after = sentences[place + 1] if place + 1 < len(sentences) and dice.random() < _AROUND_CHANCE else ""
    beside = [one if len(one) < AROUND_CHARS_MAX else "" for one in (before, after)]
    return " ".join(filter(None, [beside[0], sentences[place], beside[1]]))


def _titled(title: str, text: str, dice: random.Random) -> str:
    return f"{title}\n{text}" if title and dice.random() < _TITLE_CHANCE else text
