"""Published settings by name, a rule for all other models, and the layer that was chosen from data."""

from __future__ import annotations

import pytest
from tests.counterfact.cases import byte_model
from tests.model_editing.facts import TOKENIZER
from transformers import PreTrainedTokenizerFast

from tracebank_models.counterfact.edit_setup import fitted_editor
from tracebank_models.model_editing.editors import EDITORS, editor_class, editor_settings
from tracebank_models.model_editing.prefixes import context_prefixes
from tracebank_models.model_editing.settings import (
    MASS_PREFIXES,
    FineTuningSettings,
    MassSettings,
    PrefixPlan,
    RankOneSettings,
    alpha_settings,
    fine_tuning_settings,
    mass_settings,
    norm_settings,
    rank_one_settings,
)
from tracebank_models.model_editing.value_search import SearchSettings

PUBLISHED = {
    "gpt2-medium": (24, 2e-3, 8, 3.0, None),
    "openai-community/gpt2-xl": (48, 5e-4, 17, 4.0, ((13, 14, 15, 16, 17), 20, 20_000.0)),
    "EleutherAI/gpt-j-6B": (28, 5e-5, 5, 4.0, ((3, 4, 5, 6, 7, 8), 25, 15_000.0)),
    "EleutherAI/gpt-neox-20b": (44, 5e-5, 15, 4.0, None),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_settings_go_by_name(name: str) -> None:
    layers, radius, layer, clamp, mass = PUBLISHED[name]
    assert fine_tuning_settings(name, layers) == FineTuningSettings(radius, 0, 5e-4, 25, 0.0, 1e-2, 64)
    search = SearchSettings(steps=20, rate=0.5, weight_decay=0.5, kl_factor=0.0625, clamp=clamp, enough=0.05)
    assert rank_one_settings(name, layers) == RankOneSettings(layer, search, 0.0, PrefixPlan(((5, 10), (10, 10))))
    if mass is None:
        assert mass_settings(name, layers) == mass_settings("another", layers)
        return
    search = SearchSettings(steps=mass[1], rate=0.5, weight_decay=0.5, kl_factor=0.0625, clamp=0.75)
    plain = MassSettings(mass[0], search, mass[2], 0.0, prefixes=MASS_PREFIXES)
    assert mass_settings(name, layers) == plain
    assert alpha_settings(name, layers).norm_weight == norm_settings(name, layers).norm_weight == 10.0
    assert alpha_settings(name, layers).null_threshold == 2e-2
    assert norm_settings(name, layers).search.top_steps == 4


@pytest.mark.parametrize("layers", [1, 2, 4, 12, 48])
def test_other_models_go_by_depth(layers: int) -> None:
    layer, span = rank_one_settings("mine", layers).layer, mass_settings("mine", layers).layers
    assert layer == min(layers - 1, round(0.35 * layers))
    assert span[-1] == min(layers - 1, round(0.35 * layers))
    assert span == tuple(range(span[0], span[-1] + 1))
    assert span[0] == round(0.27 * layers) or len(span) == min(2, layers)


@pytest.mark.parametrize("name", EDITORS)
def test_the_chosen_layer_takes_the_place_of_the_rule(name: str) -> None:
    model = byte_model()
    editor = fitted_editor(name, model, "gpt2-xl", 1, radius=0.25)
    if name == "ft_l":
        assert (editor.layers, editor.settings.radius) == ((0,), 0.25)
    else:
        assert editor.layers == ((1,) if "rome" in name else (0, 1))
        assert editor.settings.search == editor_settings(name, model, "gpt2-xl").search
    assert (editor.written, editor.memory) == (0, {})


def test_another_editor_is_a_line() -> None:
    with pytest.raises(ValueError, match=r"^editor: 'mend' is not allowed; allowed: ft_l, rome, r_rome, memit"):
        editor_class("mend")


def test_layers_out_of_order_are_a_line() -> None:
    for layers in ((), (1, 0), (0, 0)):
        with pytest.raises(
            ValueError, match=r"layers: .* is not allowed; allowed: one or more layers in rising order$"
        ):
            MassSettings(layers)


def test_prefixes_are_the_models_own_texts_and_the_same_for_a_seed() -> None:
    model, plan = byte_model("gpt2"), PrefixPlan(((5, 2), (9, 3)))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=TOKENIZER.backend_tokenizer, eos_token="A")
    found = context_prefixes(model, tokenizer, plan, seed=1)
    assert len(found) == 5
    assert all(text.endswith(". ") and "{" not in text for text in found)
    assert context_prefixes(model, tokenizer, plan, seed=1) == found
    assert context_prefixes(model, tokenizer, plan, seed=2) != found
    words = EDITORS["memit"](MassSettings((0,))).prefixes(model, tokenizer)
    assert [text[0] for text in words] == ["T", "T", "B", "I", "Y"]
    assert EDITORS["ft_l"](FineTuningSettings(radius=1e-3)).prefixes(model, tokenizer) == ()


def test_prefixes_need_a_start_of_text() -> None:
    with pytest.raises(ValueError, match=r"^tokenizer: it has no start or end of text for prefixes"):
        context_prefixes(byte_model(), TOKENIZER, PrefixPlan())
