"""Whether a claim follows from a text, by an encoder that reads both together: a sentence encoder with a low-rank
adapter (LoRA, Hu et al. 2021, arXiv:2106.09685) that larger models taught.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from service.support_scorer import NOTHING_SAID
from store.embedding import open_session

PAIR = "pair.onnx"
PAIR_TOKENS_MAX = 160
"""Of claim and text together. A longer pair has no score: its end would not be read, and may take back the rest."""
_TOKEN_CHARS_MAX = 40  # a text of more characters for each token that the model reads is too long unseen


class EntailmentModel:
    """A model exported by `footnote train verifier --adapter`. One pair at a time: int8 products take their scale from
    all of a batch, so that a pair's score would depend on its neighbours.

    Args:
        folder: holds PAIR, `model.onnx`, into which it points for the weights of both, and `tokenizer.json`.
        threads: ONNX Runtime's intra-op threads.
    """

    name = "entailment"

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._session = open_session(folder / PAIR, threads)

    def score(self, claim: str, texts: Sequence[str]) -> list[float]:
        """One logit for each text, each by itself; larger is better supported."""
        return [self._logit(claim, text) for text in texts]

    def _logit(self, claim: str, text: str) -> float:
        if not claim.strip() or len(claim) + len(text) > PAIR_TOKENS_MAX * _TOKEN_CHARS_MAX:
            return NOTHING_SAID
        encoded = self._tokenizer.encode(claim, text)
        if len(encoded) > PAIR_TOKENS_MAX:
            return NOTHING_SAID
        feeds = {
            "input_ids": np.array([encoded.ids], np.int64),
            "attention_mask": np.array([encoded.attention_mask], np.int64),
            "token_type_ids": np.array([encoded.type_ids], np.int64),
        }
        (logits,) = self._session.run(["logits"], feeds)
        return float(logits[0, 0])
