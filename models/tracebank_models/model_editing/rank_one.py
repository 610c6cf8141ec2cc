"""ROME (arXiv:2202.05262) and r-ROME (arXiv:2403.07175): a fact as a change of rank one to one matrix."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.device import as_double

from .editor import Editor, check_prepared
from .places import EditPlace, edit_place
from .requests import EditRequest, located_texts
from .second_moments import SecondMoments, solved
from .settings import RankOneSettings, rank_one_settings
from .subject_states import states_at_subject
from .trace import EditMeter, EditTrace
from .value_search import EditValue, search_values


class RankOne(Editor[RankOneSettings]):
    """ROME: the direction is of the mean key over prefixes, the value is set at the key of the prompt alone."""

    name = "rome"
    preset = staticmethod(rank_one_settings)
    needs_moments = True

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers that are written to."""
        return (self.settings.layer,)

    def prepare(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        requests: Sequence[EditRequest],
        prefixes: Sequence[str] = (),
    ) -> list[EditValue]:
        """Values of independent facts, all on the model as it is."""
        place = edit_place(model, self.settings.layer)
        return search_values(model, tokenizer, requests, place, prefixes, self.settings.search)

    def apply(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        requests: Sequence[EditRequest],
        moments: SecondMoments | None = None,
        prefixes: Sequence[str] = (),
        prepared: Sequence[EditValue] | None = None,
    ) -> list[EditTrace]:
        """Write facts one after the other, each on what the ones before have left; see `Editor.apply`."""
        place, known = edit_place(model, self.settings.layer), self.checked_moments(moments)
        check_prepared(requests, prepared)
        traces: list[EditTrace] = []
        for number, request in enumerate(requests):
            with EditMeter([place]) as meter:
                value = prepared[number] if prepared else self.prepare(model, tokenizer, [request], prefixes)[0]
                key, mean = self._keys(model, tokenizer, request, prefixes, place)
                product, residual = self._write(place, value, key, mean, known)
            traces.append(
                EditTrace(
                    self.written,
                    (place.layer,),
                    value.loss,
                    meter.seconds,
                    meter.weight_norm,
                    meter.change_norm,
                    product,
                    residual,
                )
            )
            self.written += 1
        return traces

    def _keys(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        request: EditRequest,
        prefixes: Sequence[str],
        place: EditPlace,
    ) -> tuple[Tensor, Tensor]:
        """The key at which the value is set, and the mean key over all texts, float64."""
        (texts,) = located_texts(tokenizer, [request], prefixes)
        site = f"layers.{place.layer}.neurons"
        keys = as_double(states_at_subject(model, texts, [site])[site])
        return keys[0], keys.mean(dim=0)

    def _write(
        self, place: EditPlace, value: EditValue, key: Tensor, mean: Tensor, moments: SecondMoments
    ) -> tuple[float, float]:
        """Change the matrix; k . u, and how far the written value is from the wanted one, relative to it."""
        moment = moments.regular(place.layer, self.settings.moment_ridge).to(mean.device)
        direction = solved(moment, mean, "moment_ridge")
        direction = direction / direction.norm()
        product = key @ direction
        wanted = as_double(value.value)
        place.add(torch.outer((wanted - place.out(key)) / product, direction))
        return float(product), float((place.out(key) - wanted).norm() / wanted.norm())


class RevisedRankOne(RankOne):
    """r-ROME: the mean key over prefixes in both places, so that k . u cannot come near 0."""

    name = "r_rome"

    def _keys(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        request: EditRequest,
        prefixes: Sequence[str],
        place: EditPlace,
    ) -> tuple[Tensor, Tensor]:
        _, mean = super()._keys(model, tokenizer, request, prefixes, place)
        return mean, mean
