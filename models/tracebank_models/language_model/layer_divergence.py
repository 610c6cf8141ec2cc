"""How far a tuned model is from its parent, layer by layer, by several definitions side by side.

Weights: norms of fp32 differences, per tensor and per block (arXiv:2310.08164 sums the tensors' norms). Activations: at
the outputs of blocks and MLPs, over the tokens that are no padding. Output: KL between the next-token distributions of
the two models, and of the parent with one block swapped. Of a model to itself every one is exactly 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl
import torch
from transformers import PreTrainedModel

from tracebank_models.device import as_double
from tracebank_models.reinforcement_learning.policy_gradient import exact_kl

from .blocks import block_path, block_taps
from .hooks import Tap, evaluating, watched
from .taken_positions import position_ids

Batch = tuple[torch.Tensor, torch.Tensor]
"""Ids and mask, int64 [rows, length]; 1 where there is a token, whichever side the padding is on."""

DEFINITIONS: Final[dict[str, str]] = {
    "weight_l2_sum": "sum over the block's tensors of the L2 norm of their difference (arXiv:2310.08164)",
    "weight_l2": "L2 norm of the block's difference, all tensors as one vector",
    "weight_relative": "weight_l2 over the L2 norm of the parent's block",
    "block_activation_relative": "L2 norm of the difference of the block's outputs over that of the parent's",
    "block_activation_cosine": "mean over tokens of 1 - cosine of the block's outputs",
    "mlp_activation_relative": "as block_activation_relative, at the MLP's output",
    "mlp_activation_cosine": "as block_activation_cosine, at the MLP's output",
    "swap_kl": "mean over tokens of KL(parent || parent with this block of the tuned model), in nats",
}
"""Definitions of a layer's divergence."""


def layer_divergence(
    parent: PreTrainedModel, tuned: PreTrainedModel, batches: Sequence[Batch], swaps: bool = True
) -> pl.DataFrame:
    """Every definition for every layer.

    Args:
        parent: The model before tuning.
        tuned: The model after it.
        batches: Texts to measure activations and outputs on.
        swaps: Whether to measure `swap_kl`, which takes one more forward pass per layer.

    Returns:
        `layer`, `definition` (of `DEFINITIONS`), `value`.

    Raises:
        ValueError: The models' shapes differ, there is no token, a mask is not of its batch's shape, or weights are not
            of a floating-point type.
    """
    parts = [block_weight_divergence(parent, tuned), activation_divergence(parent, tuned, batches)]
    if swaps:
        parts.append(swap_divergence(parent, tuned, batches))
    return pl.concat(parts).sort("definition", "layer")


def weight_divergence(parent: PreTrainedModel, tuned: PreTrainedModel) -> pl.DataFrame:
    """Differences of weights, in fp32 with sums in fp64.

    Returns:
        One row per tensor: `tensor`, `layer` (null outside the blocks), `parameters`, `l2` (norm of the difference),
        `parent_l2` (norm of the parent's tensor), `largest` (largest absolute difference).

    Raises:
        ValueError: As `layer_divergence`.
    """
    check_pair(parent, tuned)
    prefix = f"{block_path(parent)}."
    others = dict(tuned.named_parameters())
    rows = []
    for name, first in parent.named_parameters():
        second = others[name].detach().cpu().float()
        base = first.detach().cpu().float()
        difference = second - base
        layer = int(name[len(prefix) :].partition(".")[0]) if name.startswith(prefix) else None
        norms = (difference.double().norm().item(), base.double().norm().item())
        rows.append((name, layer, base.numel(), *norms, difference.abs().max().item()))
    columns = {"tensor": pl.String, "layer": pl.Int64, "parameters": pl.Int64}
    numbers = dict.fromkeys(("l2", "parent_l2", "largest"), pl.Float64)
    return pl.DataFrame(rows, schema={**columns, **numbers}, orient="row")


def block_weight_divergence(parent: PreTrainedModel, tuned: PreTrainedModel) -> pl.DataFrame:
    """The weight definitions per block: `layer`, `definition`, `value`.

    Raises:
        ValueError: As `layer_divergence`.
    """
    tensors = weight_divergence(parent, tuned).filter(pl.col("layer").is_not_null())
    whole = (pl.col("l2") ** 2).sum().sqrt()
    blocks = tensors.group_by("layer").agg(
        weight_l2_sum=pl.col("l2").sum(),
        weight_l2=whole,
        weight_relative=whole / (pl.col("parent_l2") ** 2).sum().sqrt(),
    )
    return _long(blocks)


def activation_divergence(parent: PreTrainedModel, tuned: PreTrainedModel, batches: Sequence[Batch]) -> pl.DataFrame:
    """The activation definitions per block, over tokens that are no padding: `layer`, `definition`, `value`.

    Raises:
        ValueError: As `layer_divergence`.
    """
    check_pair(parent, tuned)
    _check_batches(batches)
    taps = _block_taps(parent)
    layers = len(taps) // 2
    sums = {site: torch.zeros(layers, 3, dtype=torch.float64) for site in ("block", "mlp")}
    tokens = 0
    for ids, mask in batches:
        tokens += int(mask.sum())
        with watched(parent, taps) as first, watched(tuned, _block_taps(tuned)) as second:
            _forward(parent, ids, mask)
            _forward(tuned, ids, mask)
        for (site, layer), activation in first.items():
            sums[site][layer] += _difference_sums(activation, second[site, layer], mask)
    columns = {"layer": torch.arange(layers).numpy()}
    for site, total in sums.items():
        columns[f"{site}_activation_relative"] = (total[:, 0].sqrt() / total[:, 1].sqrt()).numpy()
        columns[f"{site}_activation_cosine"] = (total[:, 2] / tokens).numpy()
    return _long(pl.DataFrame(columns))


def output_divergence(parent: PreTrainedModel, tuned: PreTrainedModel, batches: Sequence[Batch]) -> pl.DataFrame:
    """KL of the next-token distributions, means over tokens that are no padding, in nats.

    Returns:
        `definition` and `value`: `kl_tuned_parent` is KL(tuned || parent), `kl_parent_tuned` the other way, and
        `jensen_shannon` the divergence of both to their mean.

    Raises:
        ValueError: As `layer_divergence`.
    """
    check_pair(parent, tuned)
    _check_batches(batches)
    sums = dict.fromkeys(("jensen_shannon", "kl_parent_tuned", "kl_tuned_parent"), 0.0)
    for ids, mask in batches:
        first, second = _log_probabilities(parent, ids, mask), _log_probabilities(tuned, ids, mask)
        middle = torch.log(0.5 * (first.exp() + second.exp()))
        middle = torch.where(first == second, first, middle)
        sums["kl_parent_tuned"] += float(exact_kl(first, second).sum())
        sums["kl_tuned_parent"] += float(exact_kl(second, first).sum())
        sums["jensen_shannon"] += float(0.5 * (exact_kl(first, middle) + exact_kl(second, middle)).sum())
    tokens = _tokens(batches)
    return pl.DataFrame({"definition": list(sums), "value": [value / tokens for value in sums.values()]})


def swap_divergence(parent: PreTrainedModel, tuned: PreTrainedModel, batches: Sequence[Batch]) -> pl.DataFrame:
    """KL that one tuned block alone makes in the parent's output: `layer`, `definition` (`swap_kl`), `value`.

    Raises:
        ValueError: As `layer_divergence`.
    """
    check_pair(parent, tuned)
    _check_batches(batches)
    prefix = f"{block_path(parent)}."
    sums = [0.0] * (len(_block_taps(parent)) // 2)
    weights = {name: tensor.detach().to(parent.device, parent.dtype) for name, tensor in tuned.named_parameters()}
    for ids, mask in batches:
        base = _log_probabilities(parent, ids, mask)
        for layer in range(len(sums)):
            swapped = {name: one for name, one in weights.items() if name.startswith(f"{prefix}{layer}.")}
            sums[layer] += float(exact_kl(base, _log_probabilities(parent, ids, mask, swapped)).sum())
    values = [value / _tokens(batches) for value in sums]
    return _long(pl.DataFrame({"layer": range(len(sums)), "swap_kl": values}))


def _long(blocks: pl.DataFrame) -> pl.DataFrame:
    named = blocks.with_columns(pl.col("layer").cast(pl.Int64))
    return named.unpivot(index="layer", variable_name="definition", value_name="value").sort("definition", "layer")


def _difference_sums(first: torch.Tensor, second: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Over tokens: squared difference, squared parent, and 1 - cosine as half the squared difference of directions.

    The last form is exactly 0 for equal vectors, which 1 minus a rounded cosine is not.
    """
    kept = mask.bool().to(first.device)
    one, two = as_double(first[kept]), as_double(second[kept].to(first.device))
    directions = torch.nn.functional.normalize(one, dim=1) - torch.nn.functional.normalize(two, dim=1)
    return torch.stack(((one - two).square().sum(), one.square().sum(), 0.5 * directions.square().sum())).cpu()


def _forward(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, weights: dict[str, torch.Tensor] | None = None
) -> torch.Tensor:
    device = model.device
    inputs = {
        "input_ids": ids.to(device),
        "attention_mask": mask.to(device),
        "position_ids": position_ids(mask).to(device),
        "use_cache": False,
    }
    with evaluating(model):
        out = torch.func.functional_call(model, weights or {}, (), inputs)
    logits: torch.Tensor = out.logits
    return logits


def _log_probabilities(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, weights: dict[str, torch.Tensor] | None = None
) -> torch.Tensor:
    """Of the next token at every token that is no padding, fp64 [tokens, vocabulary], on the CPU."""
    logits = _forward(model, ids, mask, weights)[mask.bool().to(model.device)]
    return torch.log_softmax(logits.cpu().double(), dim=-1)


def _block_taps(model: PreTrainedModel) -> dict[tuple[str, int], Tap]:
    """Where the stream after each block and its MLP's part of it are, by ("block" or "mlp", layer)."""
    taps = mlp_taps(model)
    return taps | {("block", n): block_taps(model)[f"layers.{n}.resid"] for n in range(len(taps))}


def mlp_taps(model: PreTrainedModel) -> dict[tuple[str, int], Tap]:
    """Where each MLP's part is, by ("mlp", layer).

    Raises:
        ValueError: A block has none.
    """
    taps = block_taps(model)
    layers = sum(name.endswith(".resid") for name in taps)
    for layer in range(layers):
        if f"layers.{layer}.mlp" not in taps:
            parts = ", ".join(name.rpartition(".")[2] for name in taps if name.startswith(f"layers.{layer}."))
            raise ValueError(
                f"model: {type(model).__name__} has no 'layers.{layer}.mlp', only {parts}; allowed: one whose blocks"
                " have an MLP each"
            )
    return {("mlp", layer): taps[f"layers.{layer}.mlp"] for layer in range(layers)}


def _tokens(batches: Sequence[Batch]) -> int:
    return sum(int(mask.sum()) for _, mask in batches)


def _check_batches(batches: Sequence[Batch]) -> None:
    for number, (ids, mask) in enumerate(batches):
        if ids.shape != mask.shape or ids.dim() != 2:
            shapes = f"ids {tuple(ids.shape)} and mask {tuple(mask.shape)}"
            raise ValueError(f"batches: {shapes} of batch {number} are not allowed; allowed: one shape, [rows, length]")
    if not batches or _tokens(batches) == 0:
        raise ValueError("batches: none with a token is not allowed; allowed: at least one token that is no padding")


def check_pair(parent: PreTrainedModel, tuned: PreTrainedModel) -> None:
    """Refuse two models that cannot be compared weight by weight.

    Raises:
        ValueError: Their shapes differ, or weights are not of a floating-point type.
    """
    first = {name: tuple(one.shape) for name, one in parent.named_parameters()}
    second = {name: tuple(one.shape) for name, one in tuned.named_parameters()}
    for name in sorted(first.keys() | second.keys()):
        if first.get(name) != second.get(name):
            shapes = f"{second.get(name, 'none')} is not allowed; allowed: {first.get(name, 'none')}, the parent's"
            raise ValueError(f"tuned: shape of {name!r}: {shapes}")
    for model in (parent, tuned):
        for name, one in model.named_parameters():
            if not one.is_floating_point() or one.element_size() < 2:
                # Codes of quantised weights are no weights: their differences mix quantisation with tuning.
                raise ValueError(
                    f"weights: {name!r} is {one.dtype}; allowed: float32, float16 or bfloat16, unquantised"
                )
