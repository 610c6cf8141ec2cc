"""Corpora that a study may read, by kind: product reviews made here, a folder of texts, a column of a file.

Each gives documents by part, and no text is in two parts. A new kind is a struct of `CorpusEntry`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, Self, get_args

import msgspec

from .corpus import Document, corpus_frame, corpus_hash
from .lexicon import load_vader_lexicon
from .product_reviews import ProductReviews
from .table_files import FileEntry, Text, rows

Part = Literal[
    "pretraining", "tuning", "evaluation", "capture", "comparison", "triples", "emission", "preferences", "ablation"
]
"""What documents are for: a base's training, prompts of tuning, prompts that tuned models are measured on, activations,
how far layers moved, contrastive triples, prompts of what models write, of compared answers, and of ablations."""
PARTS: Final[tuple[Part, ...]] = get_args(Part)

_FIRST_REVIEW: Final[Mapping[Part, int]] = {
    "pretraining": 0,
    "capture": 1_000_000,
    "tuning": 2_000_000,
    "evaluation": 2_250_000,
    "comparison": 2_500_000,
    "triples": 11_000_000,
    "emission": 12_000_000,
    "preferences": 13_000_000,
    "ablation": 14_000_000,
}
"""Number of a part's first review; so far apart that no part reaches the next."""
_SHARES: Final[Mapping[Part, float]] = {
    "tuning": 0.20,
    "evaluation": 0.06,
    "capture": 0.38,
    "comparison": 0.02,
    "triples": 0.21,
    "emission": 0.03,
    "preferences": 0.06,
    "ablation": 0.04,
}
"""Of the texts that are not kept for pretraining."""


class ReviewCorpus(msgspec.Struct, frozen=True, tag_field="kind", tag="product_reviews"):
    """Product reviews, made as they are asked for."""

    endless = True

    def documents(self, part: Part, count: int) -> list[Document]:
        """The first documents of a part."""
        return list(ProductReviews(load_vader_lexicon()).documents(count, start=_FIRST_REVIEW[part]))

    def content_hash(self) -> str:
        """What names its content."""
        return "product_reviews"


class _TextCorpus(FileEntry, frozen=True, tag_field="kind"):
    """Texts that are there already; which part one belongs to follows from its hash."""

    pretraining: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.3
    """Share of the texts that is kept for training a base."""

    endless = False

    def documents(self, part: Part, count: int) -> list[Document]:
        """The first documents of a part: all of it where it has fewer.

        Raises:
            ValueError: A file cannot be read, or the part has no document.
        """
        found = _parts(self)[part]
        if not found:
            allowed = "more texts, or another share for pretraining"
            raise ValueError(f"corpus: {self.path} has no document for {part}; allowed: {allowed}")
        return list(found[:count])

    def sizes(self) -> dict[Part, int]:
        """Documents of each part.

        Raises:
            ValueError: A file cannot be read.
        """
        return {part: len(found) for part, found in _parts(self).items()}

    def content_hash(self) -> str:
        """Hash of the documents and of how they are parted.

        Raises:
            ValueError: A file cannot be read.
        """
        every = corpus_frame(document for found in _parts(self).values() for document in found)
        return f"{corpus_hash(every)}|{self.pretraining}"

    def texts(self) -> Iterator[tuple[str, str]]:
        """Ids and texts, in their order."""
        raise NotImplementedError


class FolderCorpus(_TextCorpus, frozen=True, tag="folder"):
    """Files of a folder and of those within it, each a document."""

    ending: Annotated[str, msgspec.Meta(pattern=r"^\.\w+$")] = ".txt"

    def beside(self, folder: Path, where: str) -> Self:
        """The same with its path taken from a folder.

        Raises:
            ValueError: There is no such folder; the line begins with `where`.
        """
        path = folder / self.path
        if not path.is_dir():
            raise ValueError(f"{where}.path: {str(path)!r} is no folder")
        return msgspec.structs.replace(self, path=str(path))

    def texts(self) -> Iterator[tuple[str, str]]:
        """Relative paths and texts, by path."""
        folder = Path(self.path)
        for file in sorted(folder.rglob(f"*{self.ending}")):
            try:
                yield file.relative_to(folder).as_posix(), file.read_text(encoding="utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"corpus: {file} cannot be read ({error})") from None


class FileCorpus(_TextCorpus, frozen=True, tag="file"):
    """A column of a file, see `table_files`."""

    text: Text = "text"
    """Column of the texts."""
    id: Text | None = None
    """Column of unique ids; without one the number of the row is taken."""

    def texts(self) -> Iterator[tuple[str, str]]:
        """Ids and texts, in their order."""
        for number, row in enumerate(rows(Path(self.path))):
            yield row.name(self.id) if self.id else str(number), row.text(self.text)


CorpusEntry = ReviewCorpus | FolderCorpus | FileCorpus
"""Every kind."""


@cache
def _parts(corpus: FolderCorpus | FileCorpus) -> dict[Part, tuple[Document, ...]]:
    """Documents of each part, by hash: a file's order may say something. Each text is taken once, empty ones not."""
    source = Path(corpus.path).name
    documents = (Document(f"{source}/{name}", source, text) for name, text in corpus.texts() if text.strip())
    found: dict[Part, list[tuple[bytes, Document]]] = {part: [] for part in PARTS}
    seen: set[bytes] = set()
    for document_id, of, text in corpus_frame(documents).iter_rows():
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        if digest not in seen:
            seen.add(digest)
            found[_part(digest, corpus.pretraining)].append((digest, Document(document_id, of, text)))
    return {part: tuple(one for _, one in sorted(of, key=lambda pair: pair[0][8:])) for part, of in found.items()}


def _part(digest: bytes, pretraining: float) -> Part:
    at = int.from_bytes(digest[:8], "little") / 2**64
    if at < pretraining:
        return "pretraining"
    at = (at - pretraining) / (1 - pretraining)
    for part, share in _SHARES.items():
        if at < share:
            return part
        at -= share
    return "ablation"
