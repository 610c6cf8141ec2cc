"""Completions of prompts: batched sampling with a key-value cache, and the log-probabilities of what was sampled.

Prompts are padded on the left, responses on the right; padding is masked out of attention and out of every number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .taken_positions import logits_at, position_ids
from .text_limits import context_length, embedding_rows, end_ids
from .tokenizer import padding_id

_PADDING_MOVES: Final = 1e-3
"""Most that padding or later tokens may move a log-probability, in nats; rounding moves it by 1e-6 in float32."""


@dataclass(frozen=True, slots=True)
class Completions:
    """Prompts and their responses. Masks are 1 where there is a token; all tensors are int64."""

    prompt_ids: torch.Tensor
    """Shape [rows, prompt length], padded on the left."""
    prompt_mask: torch.Tensor
    response_ids: torch.Tensor
    """Shape [rows, response length], padded on the right; an end-of-text token is part of the response."""
    response_mask: torch.Tensor

    @property
    def input_ids(self) -> torch.Tensor:
        """Prompt and response side by side."""
        return torch.cat((self.prompt_ids, self.response_ids), dim=1)

    @property
    def attention_mask(self) -> torch.Tensor:
        """Mask of `input_ids`."""
        return torch.cat((self.prompt_mask, self.response_mask), dim=1)

    @property
    def lengths(self) -> torch.Tensor:
        """Tokens of each response, shape [rows]."""
        return self.response_mask.sum(dim=1)

    def rows(self, index: torch.Tensor) -> Completions:
        """Some of the rows."""
        parts = (self.prompt_ids, self.prompt_mask, self.response_ids, self.response_mask)
        return Completions(*(part[index] for part in parts))

    def texts(self, tokenizer: PreTrainedTokenizerBase) -> list[str]:
        """The responses alone, decoded, special tokens left out."""
        kept = zip(self.response_ids.tolist(), self.lengths.tolist(), strict=True)
        sequences = [ids[:length] for ids, length in kept]
        return [str(text) for text in tokenizer.batch_decode(sequences, skip_special_tokens=True)]


@torch.no_grad()
def sample_completions(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: tuple[torch.Tensor, torch.Tensor],
    lengths: torch.Tensor,
    generator: torch.Generator | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
) -> Completions:
    """Continue prompts, from the full distribution, from the likeliest tokens or greedily.

    Args:
        model: In evaluation mode.
        tokenizer: For padding and, beside the model's own, end-of-text ids.
        prompts: Ids and mask, int64 [rows, prompt length], padded on the left.
        lengths: Most tokens of each response, int64 [rows]; an end-of-text token ends one earlier.
        generator: Source of chance, on the model's device; None with temperature 0.
        temperature: Logits are divided by it; 0 takes the likeliest token.
        top_k: How many of the likeliest tokens each is drawn from; None draws from all.

    Raises:
        ValueError: The temperature is negative, a length is below 1, or prompt and response exceed the context.
    """
    ids, mask = (part.to(model.device) for part in prompts)
    lengths = lengths.to(model.device)
    _check(model, ids, lengths, generator, temperature)
    padding, ends = padding_id(tokenizer), torch.tensor(end_ids(model, tokenizer), device=ids.device)
    alive = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
    tokens, masks, cache, full, step_ids = [], [], None, mask, ids
    for step in range(int(lengths.max())):
        positions = position_ids(full)[:, -step_ids.shape[1] :]
        out = model(
            input_ids=step_ids, attention_mask=full, position_ids=positions, past_key_values=cache, use_cache=True
        )
        cache = getattr(out, "past_key_values", None)
        alive = alive & (step < lengths)
        drawn = torch.where(alive, _draw(out.logits[:, -1], generator, temperature, top_k), padding)
        tokens.append(drawn)
        masks.append(alive.long())
        full = torch.cat((full, alive.long()[:, None]), dim=1)
        # A model without such a cache reads everything again.
        step_ids = drawn[:, None] if cache is not None else torch.cat((step_ids, drawn[:, None]), dim=1)
        alive = alive & ~torch.isin(drawn, ends)
    return Completions(ids, mask, torch.stack(tokens, dim=1), torch.stack(masks, dim=1))


def check_padding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a model that padding before a prompt changes: prompts of different lengths go into one batch here.

    Raises:
        ValueError: It does, or logits are not finite.
    """
    prompt = torch.arange(11, 16, device=model.device).remainder(embedding_rows(model))[None]
    padded = torch.cat((torch.full_like(prompt, padding_id(tokenizer)), prompt), dim=1)
    mask = (torch.arange(padded.shape[1], device=model.device) >= prompt.shape[1]).long()[None]
    alone, beside = (
        torch.log_softmax(_logits(model, ids, seen)[:, -1].float(), dim=-1)
        for ids, seen in ((prompt, torch.ones_like(prompt)), (padded, mask))
    )
    name = type(model).__name__
    if not bool(torch.isfinite(alone).all()):
        raise ValueError(f"model: {name} gives logits that are not finite; allowed: finite ones")
    if float((alone - beside).abs().max()) > padding_tolerance(model):
        raise ValueError(
            f"model: {name} reads padding before a prompt as tokens, so prompts cannot be sampled together; allowed:"
            " one that leaves out what the attention mask leaves out"
        )


def check_causal(model: PreTrainedModel) -> None:
    """Refuse a model in which a token changes what is said before it, as an encoder does that was loaded as a decoder.

    Raises:
        ValueError: It does.
    """
    ids = torch.arange(11, 17, device=model.device).remainder(embedding_rows(model))[None]
    whole, start = (_logits(model, part, torch.ones_like(part))[0, 2].float() for part in (ids, ids[:, :3]))
    moved = (torch.log_softmax(whole, dim=-1) - torch.log_softmax(start, dim=-1)).abs().max()
    if float(moved) > padding_tolerance(model):
        raise ValueError(
            f"model: {type(model).__name__} reads tokens that come later, so it does not write text; allowed: a causal"
            " language model (is_decoder = true in the config.json of an encoder's kind)"
        )


def padding_tolerance(model: PreTrainedModel) -> float:
    """Most that padding may move a log-probability, in nats, in a model's own precision."""
    return _PADDING_MOVES * (1 if model.dtype == torch.float32 else 100)


@torch.no_grad()
def _logits(model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(
        input_ids=ids, attention_mask=mask, position_ids=position_ids(mask), use_cache=False
    ).logits
    return logits


def response_logits(model: PreTrainedModel, completions: Completions) -> tuple[torch.Tensor, torch.Tensor]:
    """What a model says at the places where the response's tokens were chosen.

    Returns:
        Log-probabilities over the vocabulary, fp32 [rows, response length, vocabulary], and the last hidden states
        there, [rows, response length, hidden size].
    """
    (rows, length), prompt = completions.response_ids.shape, completions.prompt_ids.shape[1]
    taken = torch.zeros_like(completions.input_ids, dtype=torch.bool)
    taken[:, prompt - 1 : -1] = True
    logits, out = logits_at(model, completions.input_ids, completions.attention_mask, taken, output_hidden_states=True)
    hidden = out.hidden_states[-1][:, prompt - 1 : -1]
    return torch.log_softmax(logits.float(), dim=-1).view(rows, length, -1), hidden


def chosen_log_probabilities(log_probabilities: torch.Tensor, completions: Completions) -> torch.Tensor:
    """Log-probability of each response token, fp32 [rows, response length]; 0 where there is none."""
    chosen = log_probabilities.gather(2, completions.response_ids[..., None]).squeeze(2)
    return chosen.masked_fill(completions.response_mask == 0, 0.0)


def _draw(
    logits: torch.Tensor, generator: torch.Generator | None, temperature: float, top_k: int | None
) -> torch.Tensor:
    if temperature == 0:
        return logits.argmax(dim=-1)
    if top_k is not None and top_k < logits.shape[-1]:
        logits = logits.masked_fill(logits < logits.topk(top_k).values[:, -1:], -torch.inf)
    probabilities = torch.softmax(logits.float() / temperature, dim=-1)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(1)


def _check(
    model: PreTrainedModel,
    ids: torch.Tensor,
    lengths: torch.Tensor,
    generator: torch.Generator | None,
    temperature: float,
) -> None:
    if temperature < 0 or (temperature > 0 and generator is None):
        raise ValueError(f"temperature: {temperature} is not allowed; allowed: 0, or above 0 with a generator")
    if int(lengths.min()) < 1:
        raise ValueError(f"lengths: {int(lengths.min())} is not allowed; allowed: at least one token")
    context = context_length(model)
    total = ids.shape[1] + int(lengths.max())
    if context is not None and total > context:
        raise ValueError(f"lengths: {total} tokens with the prompt are not allowed; allowed: at most {context}")
