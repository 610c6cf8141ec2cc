"""Documents with ids, corpora of them as frames, their hash, and the split into train and validation.

Where documents come from is said in `standard_library` and `product_reviews`; tokens are made in `token_blocks`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

CORPUS_SCHEMA = {"document_id": pl.String, "source": pl.String, "text": pl.String}
"""Columns of a corpus frame; one row per document."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text."""

    document_id: str
    """Unique within a corpus, and the same in every run."""
    source: str
    """Which corpus it is from, e.g. `product_reviews`."""
    text: str


def corpus_frame(documents: Iterable[Document], max_characters: int | None = None) -> pl.DataFrame:
    """Documents as a frame of `CORPUS_SCHEMA`, in their order.

    Args:
        documents: The documents.
        max_characters: Stop before the document that would exceed this sum of characters.

    Raises:
        ValueError: There is no document, or an id occurs twice.
    """
    rows: list[tuple[str, str, str]] = []
    characters = 0
    for document in documents:
        characters += len(document.text)
        if max_characters is not None and characters > max_characters:
            break
        rows.append((document.document_id, document.source, document.text))
    return checked_corpus(pl.DataFrame(rows, schema=CORPUS_SCHEMA, orient="row"))


def checked_corpus(corpus: pl.DataFrame) -> pl.DataFrame:
    """The corpus itself, if it is one.

    Raises:
        ValueError: A column is missing or of another type, there is no document, or an id occurs twice.
    """
    if dict(corpus.schema) != CORPUS_SCHEMA:
        raise ValueError(f"corpus: columns {dict(corpus.schema)} are not allowed; allowed: {CORPUS_SCHEMA}")
    if corpus.is_empty() or not (corpus["text"].str.len_bytes() > 0).any():
        raise ValueError(f"corpus: {corpus.height} documents without a character; allowed: at least one with text")
    twice = corpus.filter(corpus["document_id"].is_duplicated())
    if not twice.is_empty():
        raise ValueError(f"corpus: document_id {twice['document_id'][0]!r} occurs twice; allowed: unique ids")
    return corpus


def corpus_hash(corpus: pl.DataFrame) -> str:
    """SHA-256 (hex) of ids and texts in their order."""
    digest = hashlib.sha256()
    for document_id, text in corpus.select("document_id", "text").iter_rows():
        for part in (document_id.encode(), text.encode()):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
    return digest.hexdigest()


def split_corpus(corpus: pl.DataFrame, validation_share: float = 0.05) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Train and validation documents; a document's side depends on its id alone, so it never changes sides.

    Raises:
        ValueError: The share is not within (0, 1), or a side would be empty.
    """
    if not 0 < validation_share < 1:
        raise ValueError(f"validation_share: {validation_share!r} is not allowed; allowed: a number between 0 and 1")
    held = pl.Series("held", [is_held_out(name, validation_share) for name in corpus["document_id"]])
    train, validation = corpus.filter(~held), corpus.filter(held)
    for name, side in (("train", train), ("validation", validation)):
        if side.is_empty():
            allowed = "more documents or another share"
            raise ValueError(f"validation_share: {validation_share!r} leaves {name} empty; allowed: {allowed}")
    return train, validation


def is_held_out(document_id: str, validation_share: float) -> bool:
    """Which side of `split_corpus` a document is on."""
    return int.from_bytes(hashlib.sha256(document_id.encode()).digest()[:8], "little") / 2**64 < validation_share
