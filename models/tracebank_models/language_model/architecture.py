"""GPT-NeoX and GPT-2 models of a few sizes, with weights drawn by seed. Training them is done in `pretraining`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    PreTrainedTokenizerBase,
)

from tracebank_models.checked_settings import require, whole

from .tokenizer import padding_id


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Shape of a model. A GPT-NeoX's embedding and unembedding are untied, as in Pythia; a GPT-2's are one."""

    hidden_size: int
    """Width of the residual stream."""
    layers: int
    attention_heads: int
    vocabulary_size: int = 2048
    context_length: int = 256
    """Most tokens in one sequence."""
    mlp_factor: int = 4
    """Width of the MLP over the residual stream's."""
    family: Literal["gpt_neox", "gpt2"] = "gpt_neox"

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is out of range; the line names it, its value and what is allowed.
        """
        whole(self, 8, 65_536, "hidden_size")
        whole(self, 1, 1_000, "layers", "attention_heads", "mlp_factor")
        whole(self, 258, 10_000_000, "vocabulary_size")
        whole(self, 2, 1_000_000, "context_length")
        # Rotary embeddings turn pairs within the first quarter of a head.
        divides = self.hidden_size % (8 * self.attention_heads) == 0
        require(self, "attention_heads", f"one that makes heads of a multiple of 8 out of {self.hidden_size}", divides)
        require(self, "family", "gpt_neox or gpt2", self.family in ("gpt_neox", "gpt2"))

    @property
    def parameters(self) -> int:
        """Number of trained parameters; GPT-2 ties its two embeddings and learns one of positions."""
        rows = self.vocabulary_size + (self.vocabulary_size if self.family == "gpt_neox" else self.context_length)
        return rows * self.hidden_size + self.inner_parameters

    @property
    def inner_parameters(self) -> int:
        """Number of trained parameters that are in no embedding."""
        width, inner = self.hidden_size, self.mlp_factor * self.hidden_size
        attention = 4 * width * (width + 1)
        mlp = 2 * width * inner + inner + width
        return self.layers * (attention + mlp + 4 * width) + 2 * width


SIZES: Final[dict[str, ModelSize]] = {
    "small": ModelSize(hidden_size=64, layers=6, attention_heads=4),
    "medium": ModelSize(hidden_size=128, layers=8, attention_heads=4),
    "large": ModelSize(hidden_size=256, layers=9, attention_heads=8),
}
"""The ladder: about 0.56, 2.1 and 8.2 million parameters."""
WORLD_SIZES: Final[dict[str, ModelSize]] = {
    "world_neox": ModelSize(hidden_size=128, layers=4, attention_heads=4),
    "world_gpt2": ModelSize(hidden_size=128, layers=4, attention_heads=4, family="gpt2"),
    "world_demo": ModelSize(hidden_size=128, layers=4, attention_heads=4),
}
"""Models of a world of facts."""


def model_size(name: str) -> ModelSize:
    """A size of the ladder, or of a model of a world.

    Raises:
        ValueError: There is no such size.
    """
    known = SIZES | WORLD_SIZES
    if name not in known:
        raise ValueError(f"size: {name!r} is not allowed; allowed: {', '.join(known)}")
    return known[name]


def build_model(
    size: ModelSize, tokenizer: PreTrainedTokenizerBase, seed: int = 0
) -> GPTNeoXForCausalLM | GPT2LMHeadModel:
    """A model with random weights; the caller's random state is left as it was.

    Raises:
        ValueError: The tokenizer has more tokens than the size.
    """
    if len(tokenizer) > size.vocabulary_size:
        allowed = f"at least the tokenizer's {len(tokenizer)}"
        raise ValueError(f"vocabulary_size: {size.vocabulary_size} is not allowed; allowed: {allowed}")
    configuration = _configuration(size, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(configuration, GPT2Config):
            return GPT2LMHeadModel(configuration)
        return GPTNeoXForCausalLM(configuration)


def _configuration(size: ModelSize, tokenizer: PreTrainedTokenizerBase) -> GPTNeoXConfig | GPT2Config:
    inner = size.mlp_factor * size.hidden_size
    tokens = {
        "vocab_size": size.vocabulary_size,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": padding_id(tokenizer),
    }
    if size.family == "gpt2":
        return GPT2Config(
            n_embd=size.hidden_size,
            n_layer=size.layers,
            n_head=size.attention_heads,
            n_inner=inner,
            n_positions=size.context_length,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            **tokens,
        )
    return GPTNeoXConfig(
        hidden_size=size.hidden_size,
        num_hidden_layers=size.layers,
        num_attention_heads=size.attention_heads,
        intermediate_size=inner,
        max_position_embeddings=size.context_length,
        tie_word_embeddings=False,
        **tokens,
    )
