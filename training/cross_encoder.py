"""Training a cross-encoder: the encoder's own weights, cut to some layers, and one score for a pair."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.progress import Progress
from store.errors import UsageError
from training.examples import Example

PILE_BATCHES = 50


@dataclass(frozen=True, slots=True)
class Recipe:
    """How it is trained.

    Args:
        layers: how many of the encoder's layers are kept, evenly spaced from the first.
        tokens_max: question and text together are cut to this.
        batch_size, learning_rate, epochs: of AdamW with a linear warm-up over the first tenth and a linear decay.
        positive_weight: of a pair that belongs together, against one that does not.
        by_length: batches of pairs alike in length, of PILE_BATCHES batches drawn at a time, so that little is padding.
        bf16: matrix products in bfloat16, which CPUs with AVX-512 BF16 or AMX do quicker.
        seed: of the order and of the new head.
    """

    layers: int = 3
    tokens_max: int = 160
    batch_size: int = 32
    learning_rate: float = 1e-4
    epochs: float = 1.0
    positive_weight: float = 4.0
    by_length: bool = False
    bf16: bool = False
    seed: int = 0


def train(examples: Sequence[Example], model: Path, work: Path, recipe: Recipe, progress: Progress) -> Path:
    """Train on the examples; the folder in `work` where the model is then.

    Embeddings stay as they are. A run that was stopped goes on from its last checkpoint in `work`.
    """
    from datasets import Dataset, disable_progress_bars
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.sampler import DefaultBatchSampler
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss
    from torch import tensor
    from transformers import TrainerCallback
    from transformers.trainer_utils import get_last_checkpoint

    disable_progress_bars()
    cut = _cut(model, work / "start", recipe)
    encoder: Any = CrossEncoder(str(cut), num_labels=1, max_length=recipe.tokens_max, device="cpu")
    encoder.model.base_model.embeddings.requires_grad_(requires_grad=False)
    shuffled = list(examples)
    random.Random(recipe.seed).shuffle(shuffled)  # noqa: S311  # an order, not a secret
    columns = {
        "question": [one.question for one in shuffled],
        "text": [one.text for one in shuffled],
        "label": [one.label for one in shuffled],
    }
    steps = max(int(len(shuffled) * recipe.epochs / recipe.batch_size), 1)
    checkpoints = work / "checkpoints"
    lengths = [len(one.question) + len(one.text) for one in shuffled]

    class ByLength(DefaultBatchSampler):  # type: ignore[misc]  # nothing of these is typed here
        """Batches of pairs alike in length."""

        def __iter__(self) -> Iterator[list[int]]:
            return iter(batches_by_length(lengths, recipe.batch_size, recipe.seed + self.epoch))

    class Trainer(CrossEncoderTrainer):  # type: ignore[misc]  # a sampler named in the arguments would be pickled
        """Draws its batches as the recipe says."""

        def get_batch_sampler(self, *given: Any, **named: Any) -> Any:
            """Batches by length, or as they come."""
            return ByLength(*given, **named) if recipe.by_length else super().get_batch_sampler(*given, **named)

    arguments = CrossEncoderTrainingArguments(
        output_dir=str(checkpoints),
        max_steps=steps,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        warmup_steps=max(steps // 10, 1),
        lr_scheduler_type="linear",
        bf16=recipe.bf16,
        use_cpu=True,
        seed=recipe.seed,
        save_steps=max(min(200, steps // 4), 1),
        save_total_limit=1,
        logging_strategy="no",
        disable_tqdm=True,
        report_to=[],
    )

    class Told(TrainerCallback):  # type: ignore[misc]  # transformers is not typed here
        """Tells the progress of each step."""

        def on_step_end(self, *_: Any, **__: Any) -> None:
            """One batch is done."""
            progress.advance(recipe.batch_size)

    trainer = Trainer(
        model=encoder,
        args=arguments,
        train_dataset=Dataset.from_dict(columns),
        loss=BinaryCrossEntropyLoss(encoder, pos_weight=tensor(recipe.positive_weight)),
        callbacks=[Told()],
    )
    begun = get_last_checkpoint(str(checkpoints)) if checkpoints.is_dir() else None
    progress.phase("Training" if begun is None else f"Training, from {Path(begun).name}", steps * recipe.batch_size)
    trainer.train(resume_from_checkpoint=begun)
    target = work / "model"
    encoder.save_pretrained(str(target))
    return target


def batches_by_length(lengths: Sequence[int], batch_size: int, seed: int) -> list[list[int]]:
    """Every position once, in batches of positions alike in length; which, and in what order, is drawn by the seed."""
    dice = random.Random(seed)  # noqa: S311  # an order, not a secret
    drawn = list(range(len(lengths)))
    dice.shuffle(drawn)
    pile = PILE_BATCHES * batch_size
    batches: list[list[int]] = []
    for at in range(0, len(drawn), pile):
        ordered = sorted(drawn[at : at + pile], key=lambda position: lengths[position])
        batches.extend(ordered[start : start + batch_size] for start in range(0, len(ordered), batch_size))
    dice.shuffle(batches)
    return batches


def _cut(model: Path, target: Path, recipe: Recipe) -> Path:
    """The encoder with a new head and fewer layers."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(recipe.seed)
    network: Any = AutoModelForSequenceClassification.from_pretrained(str(model), num_labels=1)
    there = network.base_model.encoder.layer
    if not 1 <= recipe.layers <= len(there):
        raise UsageError(f"{model.name} has {len(there)} layers; {recipe.layers} cannot be kept.")
    kept = [number * len(there) // recipe.layers for number in range(recipe.layers)]
    network.base_model.encoder.layer = torch.nn.ModuleList([there[number] for number in kept])
    network.config.num_hidden_layers = recipe.layers
    network.save_pretrained(str(target))
    AutoTokenizer.from_pretrained(str(model)).save_pretrained(str(target))
    return target
