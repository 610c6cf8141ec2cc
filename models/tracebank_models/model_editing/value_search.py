"""Values v*: what an MLP (or a block) has to give at a subject's last token for a fact to be said, found by gradients.

All facts of a batch are searched at once, each with its own steps, its own end and its own bound. What comes out of a
fact does not depend on what is beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.checked_settings import check_settings
from tracebank_models.language_model.hooks import evaluating
from tracebank_models.language_model.text_limits import context_length
from tracebank_models.log_likelihood.batches import length_batches

from .places import EditPlace
from .requests import EditRequest, located_texts, subject_ids
from .value_texts import FactTexts, ValueBatch, value_batch

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
At = Literal["output", "stream"]
"""Where a value is: what the MLP gives, or the stream after the block."""


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How values are searched."""

    steps: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 20
    """Most forward passes; the last one is not followed by a step."""
    rate: Positive = 0.5
    """Of Adam."""
    weight_decay: NotNegative = 0.5
    """Weight of ||added|| / ||start||^2 in the loss."""
    kl_factor: NotNegative = 0.0625
    """Weight of how far what follows the subject alone moves, in nats."""
    clamp: Positive = 4.0
    """Most that is added, over the norm of the start."""
    enough: NotNegative = 0.05
    """Loss below which a fact's search ends."""
    top_steps: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Passes with every target token the likeliest after which a fact's search ends; None ends it by the loss alone."""
    batch_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Tokens from the subject on that are run together; None takes 512 on a CPU, whose caches hold little, and 16,384
    elsewhere. Nothing that comes out depends on it."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is not allowed; the line names it, its value and what is allowed.
        """
        check_settings(self)


@dataclass(frozen=True, slots=True)
class EditValue:
    """What was found for one fact."""

    request: EditRequest
    value: Tensor
    """v*, float32 or wider [width of the stream]."""
    start: Tensor
    """What was there in the prompt alone."""
    loss: float
    """Mean over the texts of -log p(target) per token with the value, nats."""
    start_loss: float
    """The same without it."""
    steps: int
    """Forward passes."""


def search_values(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    requests: Sequence[EditRequest],
    place: EditPlace,
    prefixes: Sequence[str],
    settings: SearchSettings,
    at: At = "output",
) -> list[EditValue]:
    """Search the values of independent facts, all on the model as it is.

    Args:
        model: The model; its weights and its mode stay as they are.
        tokenizer: Its tokenizer.
        requests: The facts.
        place: Where the values are.
        prefixes: Texts before the prompt, beside none.
        settings: How.
        at: What the value is.

    Raises:
        ValueError: A text cannot be located (see `requests`) or is longer than the model's context, or a loss is not
            finite.
    """
    facts = [
        FactTexts(texts, subject_ids(tokenizer, request))
        for texts, request in zip(located_texts(tokenizer, requests, prefixes), requests, strict=True)
    ]
    _check_lengths(model, facts, requests)
    # Facts that go together are of one length from the subject on: only that is run in every step.
    lengths = np.array([max(len(text.ids) - 1 - text.subject for text in fact.texts) for fact in facts])
    rows = np.full(len(facts), len(prefixes) + 2)
    most = settings.batch_tokens or (512 if model.device.type == "cpu" else 16_384)
    values: dict[int, EditValue] = {}
    with _weights_frozen(model):
        for numbers in length_batches(lengths * rows, rows, most, most):
            some = [requests[number] for number in numbers]
            found = _searched(model, some, [facts[number] for number in numbers], place, settings, at)
            values.update(zip(numbers.tolist(), found, strict=True))
    return [values[number] for number in range(len(facts))]


def _searched(
    model: PreTrainedModel,
    requests: Sequence[EditRequest],
    facts: Sequence[FactTexts],
    place: EditPlace,
    settings: SearchSettings,
    at: At,
) -> list[EditValue]:
    batch: ValueBatch | None
    batch, output, starts = value_batch(model, place, facts)
    start = starts[at].to(torch.promote_types(starts[at].dtype, torch.float32))
    search = _Search(start, settings, len(facts[0].texts))
    while batch is not None:
        with evaluating(model), torch.enable_grad():
            logits = batch.logits(model, place, output, search.added)
            losses = search.losses(batch, logits)
        _check_finite(search, losses, requests)
        search.step(losses)
        batch = search.left(batch)
    return [
        EditValue(request, value, first, *numbers)
        for request, value, first, *numbers in zip(
            requests,
            (start + search.added.detach()),
            start,
            search.loss.tolist(),
            search.start_loss.tolist(),
            search.passes.tolist(),
            strict=True,
        )
    ]


class _Search:
    """State of the search of some facts; every tensor begins with the axis of facts."""

    def __init__(self, start: Tensor, settings: SearchSettings, texts: int) -> None:
        self.settings, self.texts = settings, texts
        self.norm = start.norm(dim=1)
        self.added = torch.zeros_like(start, requires_grad=True)
        self.optimizer = torch.optim.Adam([self.added], lr=settings.rate)
        self.searching = torch.ones(len(start), dtype=torch.bool, device=start.device)
        self.loss = torch.full_like(self.norm, torch.inf)
        self.start_loss = self.loss.clone()
        self.passes, self.top = torch.zeros_like(self.norm).long(), torch.zeros_like(self.norm).long()
        self.kept: Tensor | None = None

    def losses(self, batch: ValueBatch, logits: Tensor) -> Tensor:
        """The loss of every fact; 0 of those whose search has ended."""
        rows, columns = (batch.targets >= 0).nonzero(as_tuple=True)
        said = torch.log_softmax(logits.to(self.norm.dtype), dim=-1)
        is_kept, fact = batch.kept[rows], batch.fact[rows]
        targets = batch.targets[rows, columns]
        chosen = said.gather(1, targets[:, None])[:, 0]
        lengths = (batch.targets >= 0).sum(dim=1)[rows]
        share = (~is_kept).to(self.norm.dtype) / (lengths * self.texts)
        loss = torch.zeros_like(self.norm).index_add(0, fact, -chosen * share)
        self._note(batch, loss.detach(), targets != said.argmax(dim=1), rows)
        now, where = said[is_kept], fact[is_kept]
        if self.kept is None:
            self.kept = now.detach().clone()  # in the order of facts, all of which are searched in the first pass
        moved = (now.exp() * (now - self.kept[where])).sum(dim=1)
        decay = self.settings.weight_decay * _norms(self.added) / self.norm.square()
        whole: Tensor = (loss + decay * self.searching).index_add(0, where, self.settings.kl_factor * moved)
        return whole

    def _note(self, batch: ValueBatch, loss: Tensor, wrong: Tensor, rows: Tensor) -> None:
        self.start_loss = torch.where(self.passes == 0, loss, self.start_loss)
        self.loss = torch.where(self.searching, loss, self.loss)
        self.passes += self.searching
        # The prompt alone is not asked, unless there is nothing else.
        asked = ~batch.kept[rows] & (~batch.first[rows] | (self.texts == 1))
        failed = torch.zeros_like(self.passes).index_add(0, batch.fact[rows], (wrong & asked).long())
        self.top += self.searching & (failed == 0)

    def step(self, losses: Tensor) -> None:
        """End what is good enough, and move the others within their bounds."""
        settings = self.settings
        ended = losses.detach() < settings.enough
        if settings.top_steps is not None:
            ended |= self.top >= settings.top_steps
        ended |= self.passes >= settings.steps
        self.searching = self.searching & ~ended
        if not bool(self.searching.any()):
            return
        before = self.added.detach().clone()
        (self.added.grad,) = torch.autograd.grad(losses.sum(), self.added)
        self.optimizer.step()
        with torch.no_grad():
            most = settings.clamp * self.norm
            norms = self.added.norm(dim=1)
            self.added.mul_(torch.where(norms > most, most / norms, 1.0)[:, None])
            self.added.copy_(torch.where(self.searching[:, None], self.added, before))

    def left(self, batch: ValueBatch) -> ValueBatch | None:
        """What is still to be searched of a batch; None where that is nothing."""
        rows = self.searching[batch.fact].nonzero()[:, 0]
        if len(rows) == len(batch.fact):
            return batch
        return batch.chosen(rows) if len(rows) else None


def _norms(added: Tensor) -> Tensor:
    """Norms of rows, with the gradient 0 where a row is 0."""
    square = added.square().sum(dim=1)
    return torch.where(square > 0, square, 1.0).sqrt() * (square > 0)


@contextmanager
def _weights_frozen(model: PreTrainedModel) -> Iterator[None]:
    """Weights without gradients, so that nothing is kept for them."""
    changed = [one for one in model.parameters() if one.requires_grad]
    try:
        for one in changed:
            one.requires_grad_(False)
        yield
    finally:
        for one in changed:
            one.requires_grad_(True)


def _check_finite(search: _Search, losses: Tensor, requests: Sequence[EditRequest]) -> None:
    wrong = (~torch.isfinite(losses)).nonzero()[:, 0].tolist()
    if wrong:
        subject, number = requests[wrong[0]].subject, int(search.passes[wrong[0]])
        raise ValueError(
            f"edit: the loss of the value of {subject!r} is not finite in pass {number}; allowed: finite ones (another"
            " layer or a smaller rate may help; a model in float16 may need float32)"
        )


def _check_lengths(model: PreTrainedModel, facts: Sequence[FactTexts], requests: Sequence[EditRequest]) -> None:
    most = context_length(model)
    for fact, request in zip(facts, requests, strict=True):
        length = max(len(text.ids) - 1 for text in fact.texts)
        if most is not None and length > most:
            raise ValueError(
                f"prompt: {request.prompt[:40]!r} has {length} tokens with its prefix; allowed: at most {most}, the"
                " model's context"
            )
