"""Facts, texts before them, and the second moments of a small model that reads bytes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tests.tiny_models import byte_tokenizer
from transformers import PreTrainedModel

from tracebank_models.model_editing.places import edit_place
from tracebank_models.model_editing.requests import EditRequest, located
from tracebank_models.model_editing.second_moments import SecondMoments, second_moments
from tracebank_models.model_editing.subject_states import states_at_subject
from tracebank_models.model_editing.value_search import EditValue

TOKENIZER = byte_tokenizer()
FAMILIES = ("gpt2", "gpt_neox")
PREFIXES = ("It rained. ", "So. ")
FACTS = (
    EditRequest("{} is", "Bo", "so"),
    EditRequest("The tongue of {} is", "Ada Moss", "Latin"),
    EditRequest("{} plays", "Cy", "a lyre"),
)
_TEXTS = ("The tongue of Ada Moss is Greek.", "Bo plays a lute, Cy a horn.", "It rained so long that no one came out.")


def moments_of(model: PreTrainedModel, layers: Sequence[int]) -> SecondMoments:
    return second_moments(model, TOKENIZER, _TEXTS, layers)


def values_of(
    model: PreTrainedModel, layer: int, facts: Sequence[EditRequest] = FACTS, site: str = "mlp"
) -> list[EditValue]:
    """Values as a search gives them, but by chance."""
    found = states_at_subject(model, [located(TOKENIZER, one) for one in facts], [f"layers.{layer}.{site}"])
    starts = found[f"layers.{layer}.{site}"]
    steps = torch.randn(starts.shape, generator=torch.Generator().manual_seed(2)).to(starts)
    return [
        EditValue(fact, start + step, start, 0.1, 5.0, 3)
        for fact, start, step in zip(facts, starts, steps, strict=True)
    ]


def weight_of(model: PreTrainedModel, layer: int) -> torch.Tensor:
    """W as [width of the stream, keys], a copy in float64."""
    place = edit_place(model, layer)
    return place.as_rows(place.weight.detach()).double().clone()


def key_of(model: PreTrainedModel, layer: int, fact: EditRequest, prefixes: Sequence[str] = ("",)) -> torch.Tensor:
    """Mean key at the subject's last token after prefixes, float64, from a plain pass over each text."""
    keys = []
    place = edit_place(model, layer)
    for prefix in prefixes:
        text = prefix + fact.prompt.split("{}")[0] + fact.subject
        seen: list[torch.Tensor] = []
        handle = place.matrix.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0]))
        with torch.no_grad():
            model(input_ids=torch.tensor([TOKENIZER(text)["input_ids"]]))
        handle.remove()
        keys.append(seen[0].reshape(-1, seen[0].shape[-1])[-1].double())
    return torch.stack(keys).mean(dim=0)
