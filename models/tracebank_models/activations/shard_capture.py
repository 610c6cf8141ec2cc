"""Capture of a corpus into shards: one forward pass for all sites, bounded memory, resumed at the shard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tracebank_models.activations.capture import site_widths, stream_activations
from tracebank_models.activations.corpus import TokenCorpus
from tracebank_models.activations.shards import DTYPES, SHARD_COLUMNS, ActivationKey, ShardFolder, shard_columns
from tracebank_models.activations.sites import resolve_sites

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tracebank_models.language_model.loading import LoadedModel


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """How a capture runs; of these only `dtype` is part of the address."""

    batch_tokens: int = 8_192
    """Tokens of a forward pass, padding included."""
    shard_tokens: int = 65_536
    """Tokens of a shard at most."""
    memory_bytes: int = 1 << 30
    """What the buffers may take: a shard of every site, and a batch of every site in float32."""
    dtype: str = "float16"
    """`float16` or `float32`."""

    def check(self, widths: dict[str, int], corpus: TokenCorpus) -> None:
        """Refuse settings whose buffers are larger than allowed.

        Raises:
            ValueError: They are, or a setting is not positive.
        """
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype: {self.dtype!r} is not allowed: one of {', '.join(DTYPES)}")
        for field in ("batch_tokens", "shard_tokens", "memory_bytes"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: {getattr(self, field)} is not allowed: 1 or more")
        longest = int(np.diff(corpus.starts).max())
        shard = min(max(self.shard_tokens, longest), corpus.tokens) * DTYPES[self.dtype].itemsize
        needed = sum(widths.values()) * (shard + max(self.batch_tokens, longest) * 4)
        if needed > self.memory_bytes:
            raise ValueError(
                f"memory_bytes: {self.memory_bytes:,} is not enough for {len(widths)} sites: {needed:,} are needed;"
                " lower shard_tokens or batch_tokens, or capture fewer sites at once"
            )


def capture_shards(
    model: PreTrainedModel,
    corpus: TokenCorpus,
    sites: Sequence[str],
    root: Path,
    *,
    model_hash: str,
    settings: CaptureSettings | None = None,
    expected_tokenizer: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Write the activations of a corpus at sites, each site into its folder; what is there already is left as it is.

    Args:
        model: The model.
        corpus: What it reads.
        sites: Names of sites, see `resolve_sites`.
        root: Where the folders are.
        model_hash: Hash of the model's weights; together with site, corpus and dtype it is the address.
        settings: How; the defaults where it is None.
        expected_tokenizer: Hash of the model's tokenizer, to be compared with the corpus's.
        progress: Told the tokens that are done and those there are, after every shard.

    Returns:
        A row a shard, of `SHARD_COLUMNS`.

    Raises:
        ValueError: Sites, tokenizer, settings or activations are not allowed.
    """
    chosen = settings or CaptureSettings()
    corpus.check_model(model, expected_tokenizer)
    widths = site_widths(model, resolve_sites(model, sites))
    chosen.check(widths, corpus)
    folders = {
        site: ShardFolder.prepared(
            root,
            ActivationKey(model_hash, site, corpus.hash, chosen.dtype),
            width=widths[site],
            shard_tokens=chosen.shard_tokens,
        )
        for site in sites
    }
    there = {site: folder.shards() for site, folder in folders.items()}
    rows = []
    windows = list(corpus.windows(chosen.shard_tokens))
    largest = max(int(corpus.starts[window.stop] - corpus.starts[window.start]) for window in windows)
    # Made once: fresh memory for every shard costs more than what is written into it.
    buffers = {site: torch.empty((largest, width), dtype=DTYPES[chosen.dtype]) for site, width in widths.items()}
    for number, documents in enumerate(windows):
        missing = {site: folder for site, folder in folders.items() if number not in there[site]}
        if missing:
            _capture_shard(model, corpus, missing, number, documents, chosen, buffers)
        rows += [folder.row(number) for folder in folders.values()]
        if progress is not None:
            progress(int(corpus.starts[documents.stop]), corpus.tokens)
    return pl.DataFrame(rows, schema=SHARD_COLUMNS).sort("site", "shard")


def capture_models(
    models: Sequence[LoadedModel],
    corpora: Sequence[TokenCorpus],
    sites: Sequence[str],
    root: Path,
    settings: CaptureSettings,
    progress: Callable[[int, int], None],
) -> list[pl.DataFrame]:
    """Write the activations of several models, corpus by corpus, see `capture_shards`.

    Args:
        models: The models, all of one tokenizer.
        corpora: What each of them reads.
        sites: Names of sites.
        root: Where the folders are.
        settings: How.
        progress: Told the tokens that are done and those there are, each once a model.

    Returns:
        Of each corpus a row a shard, of `SHARD_COLUMNS` and `model`.

    Raises:
        ValueError: Sites, tokenizer, settings or activations are not allowed.
    """
    total, before = len(models) * sum(corpus.tokens for corpus in corpora), 0
    found = []
    for corpus in corpora:
        rows = []
        for loaded in models:
            facts = loaded.facts
            frame = capture_shards(
                loaded.model,
                corpus,
                sites,
                root,
                model_hash=facts.weights_hash,
                settings=settings,
                expected_tokenizer=facts.tokenizer_hash,
                progress=_after(before, total, progress),
            )
            rows.append(frame.with_columns(model=pl.lit(facts.model)))
            before += corpus.tokens
        found.append(pl.concat(rows))
    return found


def _after(before: int, total: int, progress: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """What a capture tells, as a part of several: so many tokens were done before it."""
    return lambda done, _total: progress(before + done, total)


def _capture_shard(
    model: PreTrainedModel,
    corpus: TokenCorpus,
    folders: dict[str, ShardFolder],
    number: int,
    documents: range,
    settings: CaptureSettings,
    room: dict[str, Tensor],
) -> None:
    first, last = int(corpus.starts[documents.start]), int(corpus.starts[documents.stop])
    buffers = {site: room[site][: last - first] for site in folders}
    batches = stream_activations(model, corpus, list(folders), batch_tokens=settings.batch_tokens, documents=documents)
    for batch in batches:
        places = batch.rows - first
        for site, buffer in buffers.items():
            buffer.index_copy_(0, places, batch.activations[site].to(buffer.device, buffer.dtype))
    lengths = np.diff(corpus.starts[documents.start : documents.stop + 1])
    columns = shard_columns(
        np.repeat(corpus.document_ids[documents.start : documents.stop], lengths),
        (np.arange(first, last) - np.repeat(corpus.starts[documents.start : documents.stop], lengths)).astype(np.int32),
        corpus.token_ids[first:last],
    )
    for site, folder in folders.items():
        folder.begin()
        folder.write(number, columns, buffers[site])
