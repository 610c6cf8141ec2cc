"""Loading causal language models by Hugging Face id or local path, and the facts of a model for a catalogue row.

A model of the Hub is pinned to the commit that its revision stands for; that commit is what the facts name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import torch
from huggingface_hub import hf_hub_download
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from tracebank_models.device import resolved_device as resolved_device

from .fingerprint import weights_hash
from .tokenizer import tokenizer_hash

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
"""Accepted names of number types."""


class LanguageModelUnavailable(RuntimeError):
    """A model can be had neither from the cache nor from the network; the message is one line."""


@dataclass(frozen=True, slots=True)
class LanguageModelFacts:
    """What a catalogue row says of a model."""

    model: str
    """Hugging Face id, or the name that the caller gives to a local one."""
    revision: str
    """Commit of the Hub; of a local model the weights hash."""
    parent: str | None
    """Name of the model that this one was tuned from."""
    parent_weights_hash: str | None
    architecture: str
    layers: int
    hidden_size: int
    """Width of the residual stream."""
    mlp_size: int
    """Width of the MLP's inner layer."""
    attention_heads: int
    vocabulary_size: int
    context_length: int | None
    parameters: int
    dtype: str
    tokenizer_hash: str
    weights_hash: str

    def frame(self) -> pl.DataFrame:
        """One row with the fields as columns."""
        schema = {"parent": pl.String, "parent_weights_hash": pl.String, "context_length": pl.Int64}
        return pl.DataFrame([dataclasses.asdict(self)], schema_overrides=schema)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in evaluation mode, its tokenizer and its facts."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    facts: LanguageModelFacts


def load_language_model(
    name: str,
    revision: str | None = None,
    *,
    parent: LanguageModelFacts | None = None,
    label: str | None = None,
    device: str = "auto",
    dtype: str = "float32",
    download: bool = True,
) -> LoadedModel:
    """Load a causal language model and its tokenizer.

    The Hub's cache is asked first and the network only for what is not in it. Code of the Hub is never run.

    Args:
        name: Hugging Face id, or the path of a folder (an absolute one, or one that exists).
        revision: Commit, tag or branch of the Hub; None takes `main`. Not allowed with a folder.
        parent: Facts of the model that this one was tuned from.
        label: Name in the facts; None takes `name`.
        device: Of `tracebank_models.device.DEVICES`.
        dtype: Of `DTYPES`.
        download: Whether the network may be used.

    Raises:
        ValueError: A device, type or revision is not allowed, or the folder holds no model.
        LanguageModelUnavailable: The model is neither in the cache nor within reach.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype: {dtype!r} is not allowed; allowed: {', '.join(DTYPES)}")
    target = resolved_device(device)
    local = Path(name).is_absolute() or Path(name).is_dir()
    if local:
        if revision is not None:
            raise ValueError(f"revision: {revision!r} is not allowed with a folder; allowed: none")
        model, tokenizer = _load_folder(Path(name), DTYPES[dtype])
    else:
        model, tokenizer = _load_from_hub(name, revision or "main", DTYPES[dtype], download)
    model = model.to(target).eval()  # type: ignore[arg-type]
    facts = language_model_facts(model, tokenizer, label or name, parent)
    return LoadedModel(model, tokenizer, facts)


def language_model_facts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    name: str,
    parent: LanguageModelFacts | None = None,
) -> LanguageModelFacts:
    """Facts of a model in memory."""
    config = model.config.get_text_config()
    weights = weights_hash(model)
    hidden = int(config.hidden_size)
    return LanguageModelFacts(
        model=name,
        revision=getattr(model.config, "_commit_hash", None) or weights,
        parent=parent.model if parent else None,
        parent_weights_hash=parent.weights_hash if parent else None,
        architecture=type(model).__name__,
        layers=int(config.num_hidden_layers),
        hidden_size=hidden,
        # GPT-2 and its kin write None for the usual factor of four.
        mlp_size=int(getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * hidden),
        attention_heads=int(config.num_attention_heads),
        vocabulary_size=int(config.vocab_size),
        context_length=getattr(config, "max_position_embeddings", None),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        dtype=str(model.dtype).removeprefix("torch."),
        tokenizer_hash=tokenizer_hash(tokenizer),
        weights_hash=weights,
    )


@contextmanager
def no_progress_bar() -> Iterator[None]:
    """Keep `transformers` from drawing bars of its own, which would be written into those of the caller."""
    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _load_folder(folder: Path, dtype: torch.dtype) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    if not (folder / "config.json").is_file():
        allowed = "the folder of a model, with its config.json, weights and tokenizer"
        raise ValueError(f"name: {str(folder)!r} is not allowed; allowed: {allowed}")
    try:
        return _from_pretrained(str(folder), None, dtype, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ValueError(f"name: {str(folder)!r} cannot be loaded: {_first_line(error)}") from error


def _load_from_hub(
    name: str, revision: str, dtype: torch.dtype, download: bool
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    try:
        return _from_pretrained(name, revision, dtype, local_files_only=True)
    except OSError as error:
        reason: Exception = error
    if download:
        try:
            # One small file first: without a network this fails once, and not once per file of the model.
            hf_hub_download(name, "config.json", revision=revision)
            return _from_pretrained(name, revision, dtype, local_files_only=False)
        except (OSError, RuntimeError) as error:
            reason = error
    allowed = "a model in the Hugging Face cache, one that the network reaches, or a local folder"
    where = "not in the cache, and the network did not give it" if download else "not in the cache (download is off)"
    text = f"language model: {name!r} at revision {revision!r} is {where} ({_first_line(reason)}); allowed: {allowed}"
    raise LanguageModelUnavailable(text) from reason


def _from_pretrained(
    name: str, revision: str | None, dtype: torch.dtype, local_files_only: bool
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    # The commit that the weights came from also gives the tokenizer, even if the branch moves in between.
    pinned = revision or "main"
    with no_progress_bar():
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            name, revision=pinned, dtype=dtype, local_files_only=local_files_only, trust_remote_code=False
        )
    commit = getattr(model.config, "_commit_hash", None) or pinned
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        name, revision=commit, local_files_only=local_files_only, trust_remote_code=False
    )
    return model, tokenizer


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__
