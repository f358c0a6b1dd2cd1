"""Networks that judge a claim and a text together: a transformer, two outputs, an adapter, and how they are trained.

The outputs are logits: whether the text supports the claim, and whether it refutes it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.progress import Progress
from store.errors import UsageError

Floats = npt.NDArray[np.float32]
Pair = tuple[str, str]
"""A claim, and the text beside it."""
Tokens = tuple[npt.NDArray[np.int32], npt.NDArray[np.int8]]
"""Of a pair: ids, and which of the two texts each is of; both shape (tokens,)."""

_DROPOUT = 0.1
_WARM_UP = 0.06
_RATE_LEAST = 0.01
_NORM_MAX = 1.0
_PILE_BATCHES = 40  # that batches alike in length are drawn from
_ROUND = 8  # tokens of a batch are a multiple of this, which GPUs do quicker
_TOKENISED_PAIRS = 20_000  # at once
_JUDGED_TOKENS, _JUDGED_PAIRS = 65_536, 1024  # in one pass without gradients


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a network is trained, by AdamW with a warm-up over the first 6 % of steps and a linear decay.

    Args:
        epochs: how often every pair is seen.
        learning_rate, weight_decay: of AdamW, the rate at its highest.
        batch_tokens, batch_pairs: of a batch at most, padding counted.
    """

    epochs: int
    learning_rate: float
    weight_decay: float
    batch_tokens: int
    batch_pairs: int


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What pairs should be judged as.

    Args:
        wanted: float32, shape (pairs, 2): probabilities of supported and refuted.
        weights: float32, shape (pairs, 2): what each counts; 0 for what is not known.
    """

    wanted: Floats
    weights: Floats

    def followed_by(self, others: Targets) -> Targets:
        """These and the others."""
        return Targets(np.concatenate([self.wanted, others.wanted]), np.concatenate([self.weights, others.weights]))


def computing_device() -> str:
    """Where networks compute: "cuda" if there is one, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def pair_network(folder: Path, seed: int) -> Any:
    """The transformer of a folder with a new linear head over its first token and the mean of all, on the device.

    Called with ids, mask and types (int64, shape (pairs, tokens)) it gives logits, float32, shape (pairs, 2). Its word
    vectors stay as they are. `seed` is of the head, of an adapter made next, and of dropout.
    """
    import torch
    from transformers import AutoModel

    class PairNetwork(torch.nn.Module):  # type: ignore[misc]  # torch is not typed here
        """`base` and the head `h`."""

        def __init__(self) -> None:
            super().__init__()
            self.base = AutoModel.from_pretrained(str(folder), dtype=torch.float32, local_files_only=True)
            if hasattr(self.base, "pooler"):
                self.base.pooler = None
            self.base.embeddings.word_embeddings.weight.requires_grad_(requires_grad=False)
            self.dropout = torch.nn.Dropout(_DROPOUT)
            self.h = torch.nn.Linear(2 * self.base.config.hidden_size, 2)
            self.reads_types = getattr(self.base.config, "type_vocab_size", 0) > 1

        def forward(self, ids: Any, mask: Any, types: Any) -> Any:
            named = {"token_type_ids": types} if self.reads_types else {}
            states = self.base(input_ids=ids, attention_mask=mask, **named).last_hidden_state
            there = mask.unsqueeze(-1).to(states.dtype)
            mean = (states * there).sum(1) / there.sum(1)
            return self.h(self.dropout(torch.cat([states[:, 0], mean], dim=-1)).float()).float()

    torch.manual_seed(seed)
    return PairNetwork().to(computing_device())


def require_adaptable(folder: Path) -> None:
    """Raise UsageError unless the folder's model has the layers of BERT, which an adapter is made for."""
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    if kind != "bert":
        raise UsageError(
            f"the embedding model in {folder} is of type {kind}; an adapter is made for the layers of BERT alone.",
            fix="Use all-MiniLM-L6-v2.",
        )


def adapt(network: Any, rank: int) -> None:
    """Freeze all but the head, and put trained products of `rank` beside the six linear maps of every layer (LoRA: Hu
    et al. 2021, arXiv:2106.09685): W x becomes W x + B A x, with B zero at first.

    The network's model must have the layers that `require_adaptable` asks for.
    """
    import torch

    class Adapted(torch.nn.Module):  # type: ignore[misc]  # torch is not typed here
        """A linear map and its adapter: A of shape (rank, inputs), B of shape (outputs, rank)."""

        def __init__(self, linear: Any) -> None:
            super().__init__()
            inputs, outputs, device = linear.in_features, linear.out_features, linear.weight.device
            self.linear = linear
            self.A = torch.nn.Parameter(torch.randn(rank, inputs, device=device) / math.sqrt(inputs))
            self.B = torch.nn.Parameter(torch.zeros(outputs, rank, device=device))

        def forward(self, states: Any) -> Any:
            linear = torch.nn.functional.linear
            return self.linear(states) + linear(linear(states, self.A), self.B)

    network.base.requires_grad_(requires_grad=False)
    for layer in network.base.encoder.layer:
        attention = layer.attention.self
        for module, name in (
            (attention, "query"),
            (attention, "key"),
            (attention, "value"),
            (layer.attention.output, "dense"),
            (layer.intermediate, "dense"),
            (layer.output, "dense"),
        ):
            setattr(module, name, Adapted(getattr(module, name)))


def learned_weights(network: Any) -> dict[str, npt.NDArray[np.float16]]:
    """What training changes, by name: of an adapted network the head and "encoder.layer.N....A" and ".B"."""
    return {
        name.removeprefix("base."): value.detach().cpu().numpy().astype(np.float16)
        for name, value in network.named_parameters()
        if value.requires_grad
    }


def tokenised(folder: Path, pairs: Sequence[Pair], tokens_max: int) -> list[Tokens]:
    """The pairs as the folder's tokenizer has them, the longer text of each cut first."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(tokens_max, strategy="longest_first")
    return [
        (np.array(one.ids, np.int32), np.array(one.type_ids, np.int8))
        for at in range(0, len(pairs), _TOKENISED_PAIRS)
        for one in tokenizer.encode_batch(list(pairs[at : at + _TOKENISED_PAIRS]))
    ]


def train(
    network: Any, tokens: Sequence[Tokens], targets: Targets, schedule: Schedule, seed: int, progress: Progress
) -> int:
    """Train the network on pairs and what they should be judged as; the steps taken.

    The loss is the weighted mean of binary cross-entropies. On a GPU, products are in bfloat16.
    """
    import torch

    device = next(network.parameters()).device
    learned = [value for value in network.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(
        learned, lr=schedule.learning_rate, weight_decay=schedule.weight_decay, fused=device.type == "cuda"
    )
    lengths, dice = lengths_of(tokens), np.random.default_rng(seed)
    plan = [
        batch
        for _ in range(schedule.epochs)
        for batch in batches_by_tokens(lengths, schedule.batch_tokens, schedule.batch_pairs, dice)
    ]
    wanted, weights = torch.from_numpy(targets.wanted).to(device), torch.from_numpy(targets.weights).to(device)
    network.train()
    for step, batch in enumerate(plan):
        for group in optimizer.param_groups:
            group["lr"] = schedule.learning_rate * rate_at(step / len(plan))
        rows = torch.from_numpy(batch).to(device)
        judged = _judged(network, [tokens[place] for place in batch])
        losses = torch.nn.functional.binary_cross_entropy_with_logits(judged, wanted[rows], reduction="none")
        loss = (losses * weights[rows]).sum() / weights[rows, 0].sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, _NORM_MAX)
        optimizer.step()
        progress.advance(len(batch))
    return len(plan)


def judged_by(network: Any, tokens: Sequence[Tokens], progress: Progress) -> Floats:
    """The network's logits for the pairs, float32, shape (pairs, 2)."""
    import torch

    network.eval()
    found = np.zeros((len(tokens), 2), np.float32)
    with torch.no_grad():
        for batch in batches_by_tokens(lengths_of(tokens), _JUDGED_TOKENS, _JUDGED_PAIRS):
            found[batch] = _judged(network, [tokens[place] for place in batch]).cpu().numpy()
            progress.advance(len(batch))
    return found


def _judged(network: Any, some: Sequence[Tokens]) -> Any:
    import torch

    device = next(network.parameters()).device
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
        inputs = padded(some, network.base.config.pad_token_id)
        return network(*(torch.from_numpy(one).to(device) for one in inputs)).float()


def padded(some: Sequence[Tokens], pad: int) -> tuple[npt.NDArray[np.int64], ...]:
    """Ids, mask and types of the pairs, each int64, shape (pairs, the longest's tokens in eights)."""
    shape = len(some), int(in_eights(lengths_of(some)).max())
    ids, mask, types = np.full(shape, pad, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, (its_ids, its_types) in enumerate(some):
        ids[row, : len(its_ids)] = its_ids
        mask[row, : len(its_ids)] = 1
        types[row, : len(its_ids)] = its_types
    return ids, mask, types


def lengths_of(some: Sequence[Tokens]) -> npt.NDArray[np.int64]:
    """The tokens of each, int64, shape (pairs,)."""
    return np.array([len(ids) for ids, _ in some], np.int64)


def in_eights(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The lengths as they are padded to."""
    return -(-lengths // _ROUND) * _ROUND


def batches_by_tokens(
    lengths: npt.NDArray[np.int64], tokens_max: int, pairs_max: int, dice: np.random.Generator | None = None
) -> list[npt.NDArray[np.int64]]:
    """Every position once, in batches of positions alike in length, each of at most so many tokens with padding (but
    for a single longer pair) and so many pairs. Order and company are drawn; without dice, shortest first.
    """
    drawn = np.arange(len(lengths)) if dice is None else dice.permutation(len(lengths))
    pile = max(len(lengths), 1) if dice is None else pairs_max * _PILE_BATCHES
    batches: list[npt.NDArray[np.int64]] = []
    for at in range(0, len(drawn), pile):
        some = drawn[at : at + pile]
        ordered = some[np.argsort(lengths[some], kind="stable")]
        batches.extend(_cut(ordered, in_eights(lengths[ordered]), tokens_max, pairs_max))
    return batches if dice is None else [batches[place] for place in dice.permutation(len(batches))]


def _cut(
    ordered: npt.NDArray[np.int64], widths: npt.NDArray[np.int64], tokens_max: int, pairs_max: int
) -> list[npt.NDArray[np.int64]]:
    starts = [0]
    for place, width in enumerate(widths.tolist()):
        count = place - starts[-1]
        if count and ((count + 1) * width > tokens_max or count == pairs_max):
            starts.append(place)
    return [ordered[start:end] for start, end in zip(starts, [*starts[1:], len(ordered)], strict=True)]


def rate_at(done: float) -> float:
    """The share of the highest learning rate when `done` (0 to 1) of the steps are taken."""
    return max(min(done / _WARM_UP, 1.0) * (1.0 - done), _RATE_LEAST)


def probabilities(logits: npt.NDArray[np.floating[Any]]) -> Floats:
    """The logistic function of the logits."""
    return (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)
