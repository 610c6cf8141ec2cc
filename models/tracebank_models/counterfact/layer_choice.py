"""Which layer facts are written to, chosen from data, and whether any layer is good enough for a run of edits.

Where no value v* makes the model say a fact, no change of weights will. How v* is searched is `model_editing`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.model_editing.places import layer_count
from tracebank_models.model_editing.rank_one import RankOne
from tracebank_models.model_editing.settings import rank_one_settings

from .records import EditCase
from .usable_cases import edit_request

ENOUGH: Final = 0.5
"""Nats per token that v* may leave in the median fact."""


@dataclass(frozen=True, slots=True)
class LayerChoice:
    """The layer whose values say facts best; every run of edits that searches values is gated by it."""

    layer: int
    loss: float
    """Median over facts of v*'s loss in that layer, nats per token."""
    enough: float
    """Most that is good enough for a run."""
    losses: dict[int, float]
    """Medians by layer."""
    facts: int
    """That it is chosen on."""

    def check(self) -> None:
        """Let a run through, or not.

        Raises:
            ValueError: No layer is good enough.
        """
        if not self.loss <= self.enough:
            raise ValueError(
                f"layer: v* leaves {self.loss:.3g} nats in the best layer, {self.layer}, over {self.facts} facts;"
                f" allowed: at most {self.enough:g} (a model that knows its facts, or a larger clamp)"
            )


def chosen_layer(losses: Mapping[int, Sequence[float]], enough: float = ENOUGH) -> LayerChoice:
    """Choose the layer of the smallest median loss, of equal ones the first.

    Args:
        losses: By layer, v*'s loss of each fact, of facts that the run is not about.
        enough: Most that is good enough for a run.

    Raises:
        ValueError: There is no layer, or a layer without facts.
    """
    if not losses or not all(losses.values()):
        raise ValueError(f"losses: {dict(losses)!r} is not allowed; allowed: one or more facts of one or more layers")
    # A loss that is not finite is as bad as any.
    medians = {layer: float(np.median(np.nan_to_num(of, nan=np.inf))) for layer, of in sorted(losses.items())}
    best = min(medians, key=medians.__getitem__)
    return LayerChoice(best, medians[best], enough, medians, len(losses[best]))


def choose_layer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    name: str,
    cases: Sequence[EditCase],
    layers: Sequence[int],
    enough: float = ENOUGH,
    progress: Callable[[int], None] | None = None,
) -> LayerChoice:
    """Search ROME's v* of cases in every layer, and choose one.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        name: Of the model, by which ROME's settings are found.
        cases: That the run is not about.
        layers: Layers that are tried.
        enough: Most that is good enough for a run.
        progress: Told of each layer that is done.

    Raises:
        ValueError: See `chosen_layer` and `search_values`.
    """
    plain = rank_one_settings(name, layer_count(model))
    requests = [edit_request(case) for case in cases]
    prefixes = RankOne(plain).prefixes(model, tokenizer)
    losses: dict[int, list[float]] = {}
    for layer in layers:
        values = RankOne(replace(plain, layer=layer)).prepare(model, tokenizer, requests, prefixes)
        losses[layer] = [one.loss for one in values]
        if progress is not None:
            progress(1)
    return chosen_layer(losses, enough)
