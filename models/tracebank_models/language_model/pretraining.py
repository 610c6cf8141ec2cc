"""Pretraining of a causal language model on packed blocks: AdamW, warm-up and cosine decay, deterministic by seed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.checked_settings import settings_hash

from .fingerprint import weights_hash
from .hooks import evaluating
from .taken_positions import log_probabilities_of
from .text_limits import context_length
from .token_blocks import TokenBlocks
from .tokenizer import tokenizer_hash
from .training_loop import OnStep, Row, TrainingLoop
from .training_settings import PretrainingConfiguration


def pretrain(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: TokenBlocks,
    validation: TokenBlocks | None = None,
    configuration: PretrainingConfiguration | None = None,
    directory: Path | None = None,
    on_step: OnStep | None = None,
) -> pl.DataFrame:
    """Train a model in place; with a folder, resume from its last checkpoint.

    Args:
        model: The model; on a resumed run the same freshly built one.
        tokenizer: Kept beside the weights, so that a checkpoint can be loaded by its path.
        train: Blocks to train on; each epoch goes through them in an order of its own.
        validation: Blocks to measure the loss on.
        configuration: Settings; None takes the defaults.
        directory: Where checkpoints go.
        on_step: Called with the row of each step.

    Returns:
        One row per step: `step`, `tokens` (seen so far), `loss` (nats per token), `validation_loss` (null where not
        measured; absent without validation text), `learning_rate`, `gradient_norm`, `seconds`.

    Raises:
        ValueError: There are fewer blocks than one batch, a block is longer than the model's context, a loss is not
            finite, or the folder is of another training.
    """
    settings = configuration or PretrainingConfiguration()
    _check(model, train, settings)
    parts = (settings, train.content_hash(), weights_hash(model), tokenizer_hash(tokenizer))
    optimizer = _optimizer(model, settings)
    loop = TrainingLoop(
        model=model,
        tokenizer=tokenizer,
        steps=settings.steps,
        seed=settings.seed,
        fingerprint=settings_hash(*parts),
        stateful={"optimizer": optimizer},
        directory=directory,
        checkpoint_every=settings.checkpoint_every,
    )

    # Spread over the whole text, so that every source has its share.
    held = spread_rows(validation.ids, settings.validation_blocks) if validation is not None else None

    def take_step(step: int) -> Row:
        row = _train_step(model, optimizer, train, settings, step)
        if held is not None and ((step + 1) % settings.validate_every == 0 or step + 1 == settings.steps):
            row["validation_loss"] = mean_loss(model, held, settings.batch_size)
        return row

    curve = loop.run(take_step, on_step)
    model.train(False)
    return curve


def spread_rows(ids: npt.NDArray[np.int32], count: int) -> npt.NDArray[np.int32]:
    """At most `count` rows, evenly spread over all."""
    return ids[np.linspace(0, len(ids) - 1, min(count, len(ids))).round().astype(np.int64)]


def mean_loss(model: PreTrainedModel, ids: npt.NDArray[np.int32], batch_size: int = 16) -> float:
    """Mean cross entropy of next tokens, in nats per token, over blocks of shape [blocks, length]."""
    total = 0.0
    with evaluating(model):
        for start in range(0, len(ids), batch_size):
            batch = _tensor(ids[start : start + batch_size], model.device)
            logits = model(input_ids=batch, use_cache=False).logits[:, :-1]
            total -= float(log_probabilities_of(logits.flatten(0, 1), batch[:, 1:].flatten()).sum())
    return total / ids[:, 1:].size


def next_token_loss(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """What training lowers: mean cross entropy of next tokens of full blocks; ids int64 [blocks, length]."""
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())


def _train_step(
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    train: TokenBlocks,
    settings: PretrainingConfiguration,
    step: int,
) -> Row:
    model.train()
    rate = settings.learning_rate_at(step)
    for group in optimizer.param_groups:
        group["lr"] = rate
    rows = batch_rows(len(train.ids), settings.batch_size, step, settings.seed)
    loss = next_token_loss(model, _tensor(train.ids[rows], model.device))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_gradient_norm)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise ValueError(f"loss: {value} at step {step + 1} is not allowed; allowed: finite (lower the learning rate)")
    optimizer.step()
    tokens = (step + 1) * settings.batch_size * train.ids.shape[1]
    return {"tokens": tokens, "loss": value, "learning_rate": rate, "gradient_norm": float(norm)}


def batch_rows(count: int, batch_size: int, step: int, seed: int) -> npt.NDArray[np.int64]:
    """Which of `count` rows a step (from 0) takes: epochs follow each other, each in an order of its own.

    A pure function of its arguments: the position in the data is the step, so that a resumed run needs no other.
    """
    wanted = np.arange(step * batch_size, (step + 1) * batch_size)
    rows = np.empty(batch_size, dtype=np.int64)
    for epoch in np.unique(wanted // count):
        order = np.random.default_rng((seed, int(epoch))).permutation(count)
        inside = wanted // count == epoch
        rows[inside] = order[wanted[inside] % count]
    return rows


def _optimizer(model: PreTrainedModel, settings: PretrainingConfiguration) -> torch.optim.AdamW:
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    decayed = [p for p in model.parameters() if p.dim() >= 2 and id(p) not in embeddings]
    chosen = {id(parameter) for parameter in decayed}
    kept = [p for p in model.parameters() if id(p) not in chosen]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, settings.adam_beta2))


def _check(model: PreTrainedModel, train: TokenBlocks, settings: PretrainingConfiguration) -> None:
    blocks, length = train.ids.shape
    if blocks < settings.batch_size:
        raise ValueError(f"train: {blocks} blocks are not allowed; allowed: at least a batch, {settings.batch_size}")
    context = context_length(model)
    if context is not None and length > context:
        raise ValueError(f"block_length: {length} is not allowed; allowed: at most the model's context, {context}")
    if int(train.ids.max()) >= model.config.vocab_size:
        raise ValueError(f"train: token {train.ids.max()} is not allowed; allowed: below {model.config.vocab_size}")


def _tensor(ids: npt.NDArray[np.int32], device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(ids, dtype=np.int64)).to(device)
