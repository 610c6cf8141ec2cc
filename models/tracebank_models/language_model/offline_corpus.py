"""The corpus of the offline default: product reviews together with the standard library's docstrings and sources."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from tracebank_models.checked_settings import require, whole

from .corpus import Document, checked_corpus, corpus_frame
from .lexicon import Lexicon
from .product_reviews import ProductReviews, ReviewStyle
from .standard_library import standard_library_documents


@dataclass(frozen=True, slots=True)
class OfflineCorpus:
    """How much of each source; a source of size 0 is left out."""

    reviews: int = 6_000
    """Product reviews (about 220 characters each)."""
    docstring_characters: int = 300_000
    """Most characters of docstrings; a Python has about 1.6 million."""
    source_characters: int = 0
    """Most characters of sources; a Python has about 10 million."""
    seed: int = 0
    style: ReviewStyle = field(default_factory=ReviewStyle)

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is out of range; the line names it, its value and what is allowed.
        """
        sizes = ("reviews", "docstring_characters", "source_characters")
        whole(self, 0, 10**12, *sizes)
        whole(self, 0, 2**63 - 1, "seed")
        require(self, "reviews", "at least one source of a size above 0", any(getattr(self, name) for name in sizes))


def offline_corpus(lexicon: Lexicon, configuration: OfflineCorpus | None = None) -> pl.DataFrame:
    """The corpus as a frame of `corpus.CORPUS_SCHEMA`: reviews, then docstrings, then sources.

    Raises:
        ValueError: As `ProductReviews`, or a limit of characters is below the first document's.
    """
    wanted = configuration or OfflineCorpus()
    parts = []
    if wanted.reviews:
        parts.append(corpus_frame(ProductReviews(lexicon, wanted.seed, wanted.style).documents(wanted.reviews)))
    for kind, characters in (("docstrings", wanted.docstring_characters), ("sources", wanted.source_characters)):
        if characters:
            parts.append(corpus_frame(standard_library_documents((kind,), wanted.seed), characters))
    return checked_corpus(pl.concat(parts))


def unseen_sources(count: int, characters: int = 400, most_of_file: int = 20) -> list[Document]:
    """Pieces of sources that no model of the ladder was trained on: of the files that their corpora do not come to.

    Args:
        count: Pieces.
        characters: Of a piece, about: lines stay whole.
        most_of_file: Pieces of one file, from its beginning.
    """
    found: list[Document] = []
    files = standard_library_documents(("sources",), OfflineCorpus().seed, backwards=True)
    for file in files:
        if len(found) >= count:
            break
        pieces = _pieces(file.text, characters)[:most_of_file]
        found += [Document(f"{file.document_id}#{at}", file.source, piece) for at, piece in enumerate(pieces)]
    return found[:count]


def _pieces(text: str, characters: int) -> list[str]:
    found = [""]
    for line in text.splitlines(keepends=True):
        if len(found[-1]) + len(line) > characters and found[-1]:
            found.append("")
        found[-1] += line
    return [piece for piece in found if piece.strip()]
