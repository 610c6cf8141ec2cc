"""FT-L (arXiv:2012.00363 as the editing papers run it): a few steps of Adam on one matrix, within a box around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.language_model.hooks import evaluating
from tracebank_models.language_model.taken_positions import logits_at
from tracebank_models.language_model.token_blocks import padded_batch

from .editor import Editor, check_prepared
from .places import EditPlace, edit_place
from .requests import EditRequest, LocatedText, located
from .second_moments import SecondMoments
from .settings import FineTuningSettings, fine_tuning_settings
from .trace import EditMeter, EditTrace
from .value_search import EditValue


class FineTuning(Editor[FineTuningSettings]):
    """FT-L. All tokens of a target are read at the prompt's last position, as the papers' code does."""

    name = "ft_l"
    preset = staticmethod(fine_tuning_settings)

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers that are written to."""
        return (self.settings.layer,)

    def apply(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        requests: Sequence[EditRequest],
        moments: SecondMoments | None = None,
        prefixes: Sequence[str] = (),
        prepared: Sequence[EditValue] | None = None,
    ) -> list[EditTrace]:
        """Write facts together; see `Editor.apply`. Moments, prefixes and values are not used."""
        del moments, prefixes
        check_prepared(requests, prepared)
        place = edit_place(model, self.settings.layer)
        texts = [located(tokenizer, request) for request in requests]
        with EditMeter([place]) as meter:
            losses = self._tuned(model, place, texts)
        first, self.written = self.written, self.written + len(requests)
        shared = meter.seconds / len(requests)
        return [
            EditTrace(first + number, (place.layer,), loss, shared, meter.weight_norm, meter.change_norm)
            for number, loss in enumerate(losses)
        ]

    def _tuned(self, model: PreTrainedModel, place: EditPlace, texts: Sequence[LocatedText]) -> list[float]:
        """Losses of the texts when each was last seen."""
        settings, losses = self.settings, [0.0] * len(texts)
        centres = [one.detach().clone() for one in place.parameters]
        with _trained(model, place), evaluating(model), torch.enable_grad():
            optimizer = torch.optim.Adam(place.parameters, lr=settings.rate, weight_decay=settings.weight_decay)
            for _ in range(settings.steps):
                for start in range(0, len(texts), settings.batch_facts):
                    found = _losses(model, texts[start : start + settings.batch_facts])
                    losses[start : start + settings.batch_facts] = found.tolist()
                    _check_finite(found)
                    if float(found.detach().mean()) >= settings.enough:
                        optimizer.zero_grad()
                        found.mean().backward()  # type: ignore[no-untyped-call]
                        optimizer.step()
                        _clamp(place, centres, settings.radius)
                if sum(losses) / len(losses) < settings.enough:
                    break
        return losses


def _losses(model: PreTrainedModel, texts: Sequence[LocatedText]) -> Tensor:
    ids, mask = padded_batch([np.array(text.ids[: text.prompt], dtype=np.int32) for text in texts], 0)
    ids, mask = ids.to(model.device), mask.to(model.device)
    last = torch.arange(ids.shape[1], device=ids.device) == mask.sum(dim=1, keepdim=True) - 1
    said = torch.log_softmax(logits_at(model, ids, mask, last)[0].float(), dim=-1)
    return torch.stack([-said[row, list(text.target)].mean() for row, text in enumerate(texts)])


def _check_finite(losses: Tensor) -> None:
    if not bool(torch.isfinite(losses).all()):
        raise ValueError("edit: a loss of FT-L is not finite; allowed: finite ones (a smaller rate or radius may help)")


@torch.no_grad()
def _clamp(place: EditPlace, centres: Sequence[Tensor], radius: float) -> None:
    for parameter, centre in zip(place.parameters, centres, strict=True):
        parameter.copy_(torch.minimum(torch.maximum(parameter, centre - radius), centre + radius))


@contextmanager
def _trained(model: PreTrainedModel, place: EditPlace) -> Iterator[None]:
    """Gradients for the edited tensors alone; flags and gradients are put back."""
    before = [(one, one.requires_grad, one.grad) for one in model.parameters()]
    try:
        for one, _, _ in before:
            one.requires_grad_(False)
            one.grad = None
        for one in place.parameters:
            one.requires_grad_(True)
        yield
    finally:
        for one, flag, gradient in before:
            one.requires_grad_(flag)
            one.grad = gradient
