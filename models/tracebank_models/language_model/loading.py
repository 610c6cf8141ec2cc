"""Loading causal language models by Hugging Face id or local path, and the facts of a model for a catalogue row.

A model of the Hub is pinned to the commit that its revision stands for; that commit is what the facts name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from logging import ERROR
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import polars as pl
import torch
from huggingface_hub import hf_hub_download
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from tracebank_models.device import resolved_device as resolved_device

from .checkpoint_checks import check_loaded, refuse_adapter, refuse_codes, refuse_quantised
from .fingerprint import weights_hash
from .text_limits import check_tokenizer, context_length
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
        mlp_size=_mlp_size(config, hidden),
        attention_heads=int(getattr(config, "num_attention_heads", 0)),  # recurrent models have none
        vocabulary_size=int(config.vocab_size),
        context_length=context_length(model),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        dtype=str(model.dtype).removeprefix("torch."),
        tokenizer_hash=tokenizer_hash(tokenizer),
        weights_hash=weights,
    )


def _mlp_size(config: PretrainedConfig, hidden: int) -> int:
    for name in ("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size"):
        value = getattr(config, name, None) or getattr(getattr(config, "ffn_config", None), name, None)
        if isinstance(value, int):
            return value
    # MPT writes the factor; GPT-2 and its kin write None for the usual one of four.
    return int(getattr(config, "expansion_ratio", 4)) * hidden


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


@contextmanager
def _no_report() -> Iterator[None]:
    """Keep `transformers` from printing what `check_loaded` says in one line."""
    level = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(level)


def _load_folder(folder: Path, dtype: torch.dtype) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    if not ((folder / "config.json").is_file() or (folder / "adapter_config.json").is_file()):
        allowed = "the folder of a model, with its config.json, weights and tokenizer"
        raise ValueError(f"name: {str(folder)!r} is not allowed; allowed: {allowed}")
    return _from_pretrained(str(folder), None, dtype, local_files_only=True)


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
    folder = Path(name) if revision is None else None
    try:
        refuse_adapter(name, pinned, local_files_only=local_files_only)
        known = {"local_files_only": local_files_only, "trust_remote_code": False}
        config = AutoConfig.from_pretrained(name, revision=pinned, **known)
        refuse_quantised(config)
        if folder is not None:
            refuse_codes(sorted(folder.glob("model*.safetensors")))
        with no_progress_bar(), _no_report():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                name, revision=pinned, dtype=dtype, ignore_mismatched_sizes=True, output_loading_info=True, **known
            )
        model: PreTrainedModel = loaded[0]
        check_loaded(model, loaded[1])
        commit = getattr(model.config, "_commit_hash", None) or pinned
        tokenizer = _tokenizer(name, commit, known)
        check_tokenizer(model, tokenizer)
    except Exception as error:
        if folder is None and isinstance(error, OSError):  # there is no such model here, or not all of it
            raise
        raise ValueError(f"name: {name!r} cannot be loaded: {_first_line(error)}") from error
    return model, tokenizer


def _tokenizer(name: str, commit: str, known: dict[str, bool]) -> PreTrainedTokenizerBase:
    missing = "its tokenizer (tokenizer.json) is missing or cannot be read"
    try:
        found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name, revision=commit, **known)
    except ValueError as error:
        raise ValueError(f"{missing}: {_first_line(error)}") from error
    if set(found.get_vocab()) <= set(found.all_special_tokens):  # made up by `transformers`
        raise ValueError(f"{missing}: it has special tokens alone")
    return found


def _first_line(error: Exception) -> str:
    if isinstance(error, UnpicklingError):
        return "a .bin file of its weights holds more than tensors; allowed: weights saved as safetensors"
    lines = str(error).strip().splitlines()
    return lines[0][:400] if lines else type(error).__name__
