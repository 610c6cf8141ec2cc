"""The search of a value as the papers' code has it: one fact, its whole texts, all logits, in every step.

It shares with the fast search where the subject is and what the texts are, and nothing of how they are run.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import kl_div
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.language_model.hooks import replaced
from tracebank_models.model_editing.places import EditPlace
from tracebank_models.model_editing.requests import EditRequest, located, subject_ids
from tracebank_models.model_editing.value_search import SearchSettings


def slow_value(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    request: EditRequest,
    place: EditPlace,
    prefixes: Sequence[str],
    settings: SearchSettings,
    at: str = "output",
) -> tuple[Tensor, float, int]:
    """The value of one fact, the loss of its target, and how many passes it took; the model is in evaluation mode."""
    texts = [located(tokenizer, request, prefix) for prefix in ("", *prefixes)]
    kept = subject_ids(tokenizer, request)
    rows = [*(text.ids[:-1] for text in texts), kept]
    places = [*(text.subject for text in texts), len(kept) - 1]
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    every, where = torch.arange(len(rows)), torch.tensor(places)
    start: Tensor | None = None
    before: Tensor | None = None
    added: Tensor | None = None
    adam: torch.optim.Adam | None = None
    for number in range(settings.steps):

        def add(found: Tensor) -> Tensor:
            nonlocal start, added, adam
            if start is None or added is None:
                start = found[0, places[0]].detach().clone()
                added = torch.zeros_like(start, requires_grad=True)
                adam = torch.optim.Adam([added], lr=settings.rate)
            return found.index_put((every, where), added.expand(len(rows), -1), accumulate=True)

        with replaced(model, {place.output if at == "output" else place.stream: add}):
            said = torch.log_softmax(model(input_ids=ids, attention_mask=mask, use_cache=False).logits, dim=-1)
        assert start is not None
        assert added is not None
        assert adam is not None
        count = len(texts[0].target)
        losses = torch.stack(
            [
                -said[row, torch.arange(text.prompt - 1, text.prompt - 1 + count), list(text.target)].mean()
                for row, text in enumerate(texts)
            ]
        )
        now = said[-1, places[-1]][None]
        before = now.detach().clone() if before is None else before
        moved = kl_div(before, now, log_target=True, reduction="batchmean")
        decay = settings.weight_decay * added.norm() / start.norm() ** 2
        total = losses.mean() + settings.kl_factor * moved + decay
        if total.item() < settings.enough or number == settings.steps - 1:
            break
        adam.zero_grad()
        total.backward()
        adam.step()
        with torch.no_grad():
            most = settings.clamp * start.norm()
            if added.norm() > most:
                added.mul_(most / added.norm())
    assert start is not None
    assert added is not None
    return start + added.detach(), losses.mean().item(), number + 1
