"""Whether a claim follows from a text, by an encoder that reads both together: a sentence encoder with a low-rank
adapter (LoRA, Hu et al. 2021, arXiv:2106.09685) that larger models taught.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from service.support_scorer import NOTHING_SAID
from store.embedding import open_session

PAIR_TOKENS_MAX = 160
"""Of claim and text together; of the text the rest is not read."""
CLAIM_TOKENS_MAX = 80
"""A longer claim has no score: its end would not be read."""
_TOKEN_CHARS_MAX = 40  # of a text are tokenized for each token that the model reads


class EntailmentModel:
    """A model exported by `footnote train verifier`. One pair at a time: int8 products take their scale from all of a
    batch, so that a pair's score would depend on its neighbours.

    Args:
        folder: holds `pair.onnx`, `model.onnx`, into which it points for the weights of both, and `tokenizer.json`.
        threads: ONNX Runtime's intra-op threads.
    """

    name = "entailment"

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(PAIR_TOKENS_MAX, strategy="only_second")
        self._tokenizer.no_padding()
        self._session = open_session(folder / "pair.onnx", threads)

    def score(self, claim: str, texts: Sequence[str]) -> list[float]:
        """One logit for each text, each by itself; larger is better supported."""
        if self._is_read_whole(claim):
            return [self._logit(claim, text) for text in texts]
        return [NOTHING_SAID] * len(texts)

    def _is_read_whole(self, claim: str) -> bool:
        if len(claim) > CLAIM_TOKENS_MAX * _TOKEN_CHARS_MAX:
            return False
        return 0 < len(self._tokenizer.encode(claim, add_special_tokens=False)) <= CLAIM_TOKENS_MAX

    def _logit(self, claim: str, text: str) -> float:
        encoded = self._tokenizer.encode(claim, text[: PAIR_TOKENS_MAX * _TOKEN_CHARS_MAX])
        feeds = {
            "input_ids": np.array([encoded.ids], np.int64),
            "attention_mask": np.array([encoded.attention_mask], np.int64),
            "token_type_ids": np.array([encoded.type_ids], np.int64),
        }
        (logits,) = self._session.run(["logits"], feeds)
        return float(logits[0, 0])
