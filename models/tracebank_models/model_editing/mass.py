"""MEMIT (arXiv:2210.07229), AlphaEdit (arXiv:2410.02355) and MEMIT with a norm constraint (arXiv:2502.01636).

Many facts at once: values are those of the stream after the last layer, and each layer closes its share of what is
still missing. All is solved in float64.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.checked_settings import require
from tracebank_models.device import as_double

from .editor import Editor, check_prepared
from .places import EditPlace, edit_place, edit_places
from .requests import EditRequest, LocatedText, located_texts
from .second_moments import SecondMoments, solved
from .settings import MassSettings, alpha_settings, mass_settings, norm_settings
from .subject_states import states_at_subject
from .trace import EditMeter, EditTrace
from .value_search import EditValue, search_values


class Mass(Editor[MassSettings]):
    """MEMIT: least squares between the edited keys and all keys, as the second moment has them."""

    name = "memit"
    preset = staticmethod(mass_settings)
    needs_moments = True

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers that are written to."""
        return self.settings.layers

    def prepare(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        requests: Sequence[EditRequest],
        prefixes: Sequence[str] = (),
    ) -> list[EditValue]:
        """Values of the stream after the last layer, of independent facts, all on the model as it is."""
        place = edit_place(model, self.layers[-1])
        return search_values(model, tokenizer, requests, place, prefixes, self.settings.search, "stream")

    def apply(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        requests: Sequence[EditRequest],
        moments: SecondMoments | None = None,
        prefixes: Sequence[str] = (),
        prepared: Sequence[EditValue] | None = None,
    ) -> list[EditTrace]:
        """Write facts together; see `Editor.apply`."""
        places, known = edit_places(model, self.layers), self.checked_moments(moments)
        check_prepared(requests, prepared)
        with EditMeter(places) as meter:
            values = prepared or self.prepare(model, tokenizer, requests, prefixes)
            residuals = self._write(model, places, located_texts(tokenizer, requests, prefixes), values, known)
        first, self.written = self.written, self.written + len(requests)
        seconds = meter.seconds / len(requests)
        return [
            EditTrace(
                first + number,
                self.layers,
                value.loss,
                seconds,
                meter.weight_norm,
                meter.change_norm,
                residual=residual,
            )
            for number, (value, residual) in enumerate(zip(values, residuals, strict=True))
        ]

    def _write(
        self,
        model: PreTrainedModel,
        places: Sequence[EditPlace],
        texts: Sequence[Sequence[LocatedText]],
        values: Sequence[EditValue],
        moments: SecondMoments,
    ) -> list[float]:
        """Change each layer, on what the ones before have left; distances to the values, over those at the start."""
        wanted = as_double(torch.stack([one.value for one in values]))
        last = f"layers.{places[-1].layer}.resid"

        def missing() -> Tensor:
            return wanted - as_double(states_at_subject(model, [one[0] for one in texts], [last])[last])

        start = missing()
        for number, place in enumerate(places):
            keys = mean_keys(model, texts, place.layer).T
            share = (missing() if number else start).T / (len(places) - number)
            place.add(self._change(place.layer, keys, share, moments))
        first, left = start.norm(dim=1), missing().norm(dim=1)
        return torch.where(first > 0, left / first, 0.0).tolist()  # what is said already has nothing to write

    def _change(self, layer: int, keys: Tensor, share: Tensor, moments: SecondMoments) -> Tensor:
        """What is added to W.

        Args:
            layer: Number of the layer.
            keys: K, [width of the keys, facts].
            share: R, [width of the stream, facts].
            moments: Of the model before its first edit.
        """
        moment = moments.regular(layer, self.settings.moment_ridge).to(keys.device)
        return share @ solved(self.settings.moment_weight * moment + keys @ keys.T, keys, "moment_ridge").T

    def _remembered(self, layer: int, keys: Tensor) -> Tensor:
        """K K^T of what was written before, to which these keys are added for the next time."""
        before = self.memory.get(layer, torch.zeros(len(keys), len(keys), dtype=keys.dtype, device=keys.device))
        self.memory[layer] = before + keys @ keys.T
        return before


class NormConstrainedMass(Mass):
    """MEMIT that keeps the weights small and spares what it has written before; its search ends early."""

    name = "memit_norm"
    preset = staticmethod(norm_settings)

    def _change(self, layer: int, keys: Tensor, share: Tensor, moments: SecondMoments) -> Tensor:
        settings = self.settings
        matrix = settings.moment_weight * moments.of(layer).to(keys.device) + self._remembered(layer, keys)
        matrix.diagonal().add_(settings.norm_weight)
        return share @ solved(matrix + keys @ keys.T, keys, "norm_weight").T


class NullSpaceMass(Mass):
    """AlphaEdit: writes only where keys never are, and spares what it has written before."""

    name = "alpha_edit"
    preset = staticmethod(alpha_settings)

    def __init__(self, settings: MassSettings) -> None:
        """Start without a memory.

        Raises:
            ValueError: Nothing weighs against growth, so that there is nothing to solve.
        """
        require(settings, "norm_weight", "above 0 in alpha_edit (its L2)", settings.norm_weight > 0)
        super().__init__(settings)
        self._projectors: dict[int, tuple[SecondMoments, Tensor]] = {}

    def projector(self, layer: int, moments: SecondMoments) -> Tensor:
        """P, onto the span of the moment's singular vectors below the threshold; float64.

        Raises:
            ValueError: There is none below it.
        """
        known = self._projectors.get(layer)
        if known is None or known[0] is not moments:
            values, vectors = torch.linalg.eigh(moments.of(layer))
            values = values.clamp(min=0)  # singular values, as no eigenvalue is negative but by rounding
            null = vectors[:, values < self.settings.null_threshold]
            if not null.shape[1]:
                raise ValueError(
                    f"null_threshold: {self.settings.null_threshold:g} leaves nothing of layer {layer} to write in;"
                    f" allowed: above {float(values[0]):.3g}, its moment's smallest singular value"
                )
            known = self._projectors[layer] = moments, null @ null.T
        return known[1]

    def _change(self, layer: int, keys: Tensor, share: Tensor, moments: SecondMoments) -> Tensor:
        project = self.projector(layer, moments).to(keys.device)
        spared = keys @ keys.T + self._remembered(layer, keys)
        matrix = project @ spared
        matrix.diagonal().add_(self.settings.norm_weight)
        found: Tensor = torch.linalg.solve(matrix, project @ keys @ share.T)
        return found.T


def mean_keys(model: PreTrainedModel, texts: Sequence[Sequence[LocatedText]], layer: int) -> Tensor:
    """Of each fact, the mean of the key in the prompt alone and of the mean key after its prefixes, float64."""
    site = f"layers.{layer}.neurons"
    flat = states_at_subject(model, [text for one in texts for text in one], [site])[site]
    keys = as_double(flat).reshape(len(texts), len(texts[0]), -1)
    alone: Tensor = keys[:, 0]
    return alone if keys.shape[1] == 1 else (alone + keys[:, 1:].mean(dim=1)) / 2
