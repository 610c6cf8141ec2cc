"""What cannot be edited is one clear line, before anything is written."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.counterfact.cases import byte_model
from tests.model_editing.facts import FACTS, TOKENIZER, moments_of, values_of
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import MambaConfig, MambaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from tracebank_models.language_model.fingerprint import weights_hash
from tracebank_models.model_editing.editor import Editor
from tracebank_models.model_editing.editors import EDITORS
from tracebank_models.model_editing.fine_tuning import FineTuning
from tracebank_models.model_editing.mass import Mass
from tracebank_models.model_editing.places import edit_place
from tracebank_models.model_editing.rank_one import RankOne
from tracebank_models.model_editing.requests import EditRequest, located
from tracebank_models.model_editing.settings import FineTuningSettings, MassSettings, RankOneSettings

ROME = RankOneSettings(0, moment_ridge=1e-2)
ALL: list[Editor] = [  # type: ignore[type-arg]
    FineTuning(FineTuningSettings(radius=1e-3, steps=2)),
    RankOne(ROME),
    Mass(MassSettings((0, 1), moment_ridge=1e-2)),
]


@pytest.mark.parametrize(
    ("prompt", "subject", "target", "line"),
    [
        ("He is", "Bo", "so", r"prompt: 'He is' is not allowed; allowed: a text with one {} for the subject"),
        ("{} is {}", "Bo", "so", r"prompt: '{} is {}' is not allowed; allowed: a text with one {} for the subject"),
        ("{} is ", "Bo", "so", r"prompt: '{} is ' is not allowed; allowed: one without a blank at its end"),
        ("{} is", "", "so", r"subject: '' is not allowed; allowed: a text without blanks at its ends"),
        ("{} is", "Bo", "", r"target: '' is not allowed; allowed: a text without blanks at its ends"),
        ("{} is", "Bo", " so", r"target: ' so' is not allowed; allowed: a text without blanks at its ends"),
    ],
)
def test_a_request(prompt: str, subject: str, target: str, line: str) -> None:
    with pytest.raises(ValueError, match=line) as caught:
        EditRequest(prompt, subject, target)
    assert "\n" not in str(caught.value)


def _merging(merge: str) -> PreTrainedTokenizerFast:
    """Bytes, and one token for two of them."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*letters, merge])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[(merge[0], merge[1])]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return PreTrainedTokenizerFast(tokenizer_object=made)


def test_a_tokenizer_that_splits_words_away() -> None:
    with pytest.raises(ValueError, match=r"^subject: 'Bo' is split away by this tokenizer, as one token reaches over"):
        located(_merging("oĠ"), FACTS[0])
    with pytest.raises(ValueError, match=r"^target: 'so' is split away by this tokenizer, as one token reaches over"):
        located(_merging("sĠ"), FACTS[0])


def test_a_target_without_tokens_of_its_own() -> None:
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "Bo": 1, "is": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(ValueError, match=r"^target: 'so' has no tokens of its own in this tokenizer"):
        located(PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]"), FACTS[0])


@pytest.mark.parametrize("prefix", ["", "It rained. "])
def test_the_subject_is_found_where_it_is(prefix: str) -> None:
    text = located(TOKENIZER, EditRequest("The tongue of {} is", "Ada Moss", "Latin"), prefix)
    assert TOKENIZER.decode(text.until_subject) == f"{prefix}The tongue of Ada Moss"
    assert TOKENIZER.decode(text.target) == " Latin"
    assert text.prompt == len(f"{prefix}The tongue of Ada Moss is")


@pytest.mark.parametrize("editor", ALL, ids=lambda one: one.name)
def test_no_requests_and_other_values(editor: Editor) -> None:  # type: ignore[type-arg]
    model = byte_model()
    moments, was = moments_of(model, [0, 1]), weights_hash(model)
    with pytest.raises(ValueError, match=r"^requests: none is not allowed; allowed: at least one$"):
        editor.apply(model, TOKENIZER, [], moments)
    with pytest.raises(ValueError, match=r"^prepared: 1 values are of other facts than these"):
        editor.apply(model, TOKENIZER, FACTS[:1], moments, (), values_of(model, 0, FACTS[1:2]))
    assert weights_hash(model) == was


def test_moments_that_are_missing() -> None:
    model = byte_model()
    with pytest.raises(ValueError, match=r"^moments: none is not allowed with rome; allowed: second_moments"):
        RankOne(ROME).apply(model, TOKENIZER, FACTS)
    with pytest.raises(ValueError, match=r"^moments: there is none of layer 1; allowed: those that were made, 0$"):
        RankOne(replace(ROME, layer=1)).apply(model, TOKENIZER, FACTS, moments_of(model, [0]))


@pytest.mark.parametrize("name", EDITORS)
def test_a_layer_out_of_range(name: str) -> None:
    model = byte_model("gpt2")
    settings = (
        FineTuningSettings(radius=1e-3, layer=2)
        if name == "ft_l"
        else RankOneSettings(2)
        if "rome" in name
        else MassSettings((1, 2), norm_weight=1.0)
    )
    moments = replace(moments_of(model, [1]), matrices=dict.fromkeys((1, 2), torch.eye(128, dtype=torch.float64)))
    with pytest.raises(ValueError, match=r"^layer: 2 is not allowed; allowed: 0 to 1, the model's layers$"):
        EDITORS[name](settings).apply(model, TOKENIZER, FACTS, moments)


def test_a_family_without_such_a_matrix() -> None:
    model = MambaForCausalLM(MambaConfig(vocab_size=257, hidden_size=16, num_hidden_layers=2, state_size=4))
    with pytest.raises(ValueError, match=r"^model: MambaForCausalLM has no MLP that ends in one matrix in layer 0, so"):
        edit_place(model, 0)


def test_a_prompt_longer_than_the_context() -> None:
    model = byte_model()
    long = EditRequest("x" * 160 + " {} is", "Bo", "so")
    with pytest.raises(ValueError, match=r"^prompt: 'x{40}' has 168 tokens with its prefix; allowed: at most 160"):
        RankOne(ROME).prepare(model, TOKENIZER, [long])


def _spoilt(seen_before: bool) -> PreTrainedModel:
    model = byte_model()
    if seen_before:
        edit_place(model, 0)
    with torch.no_grad():
        dict(model.named_parameters())["gpt_neox.layers.0.mlp.dense_4h_to_h.weight"][0, 0] = torch.nan
    return model


@pytest.mark.parametrize("seen_before", [True, False])
@pytest.mark.parametrize("editor", ALL, ids=lambda one: one.name)
def test_weights_that_are_not_numbers(editor: Editor, seen_before: bool) -> None:  # type: ignore[type-arg]
    moments, model = moments_of(byte_model(), [0, 1]), _spoilt(seen_before)
    was = weights_hash(model)
    with pytest.raises(ValueError, match=r"not finite|NaN or infinite") as caught:
        editor.apply(model, TOKENIZER, FACTS, moments)
    assert "\n" not in str(caught.value)
    assert weights_hash(model) == was


def test_an_edit_that_overflows_writes_nothing() -> None:
    model = byte_model()
    moments, was = moments_of(model, [0]), weights_hash(model)
    huge = [replace(one, value=one.value.double() * 1e39) for one in values_of(model, 0, FACTS[:1])]
    with pytest.raises(
        ValueError, match=r"^edit: the new weights of layer 0 have NaN or infinite entries; nothing was"
    ):
        RankOne(ROME).apply(model, TOKENIZER, FACTS[:1], moments, (), huge)
    assert weights_hash(model) == was
