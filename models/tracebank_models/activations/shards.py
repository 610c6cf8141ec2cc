"""Shards of activations on disk: Arrow IPC files of fixed-size lists, in a folder named by what they are of.

Here are the address, the layout and the writing of one shard. A shard appears whole or not at all, so a folder can be
read, by training and by SQL (ClickHouse's `ENGINE = File(Arrow, '<folder>/*.arrow')`), while it is still being filled.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracebank_models.activations.direct_file import DirectFile

DTYPES = {"float16": torch.float16, "float32": torch.float32}
"""What activations can be stored as."""
_ARROW = {"float16": pa.float16(), "float32": pa.float32()}
_ABANDONED_SECONDS = 3_600.0
_SHARD = re.compile(r"shard-(\d{5,})\.arrow")

SHARD_COLUMNS: dict[str, pl.DataType] = {
    "activation_hash": pl.String(),
    "model_hash": pl.String(),
    "site": pl.String(),
    "corpus_hash": pl.String(),
    "dtype": pl.String(),
    "width": pl.Int32(),
    "shard": pl.Int32(),
    "path": pl.String(),
    "tokens": pl.Int64(),
    "first_document": pl.Int64(),
    "last_document": pl.Int64(),
    "bytes": pl.Int64(),
}
"""A row of the catalogue of shards."""


@dataclass(frozen=True, slots=True)
class ActivationKey:
    """What activations are of: the same key always stands for the same numbers."""

    model_hash: str
    site: str
    corpus_hash: str
    dtype: str = "float16"

    def __post_init__(self) -> None:
        """Refuse a dtype that is not stored."""
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype: {self.dtype!r} is not allowed: one of {', '.join(DTYPES)}")

    @property
    def hash(self) -> str:
        """The address: a SHA-256 of the four fields."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ShardFolder:
    """The folder of one key, `<root>/<hash>`."""

    path: Path
    key: ActivationKey
    width: int
    shard_tokens: int

    @classmethod
    def create(cls, root: Path, key: ActivationKey, *, width: int, shard_tokens: int) -> ShardFolder:
        """Make the folder, or take the one that is there.

        Raises:
            ValueError: What is there has another width or other shards.
        """
        folder = cls.prepared(root, key, width=width, shard_tokens=shard_tokens)
        folder.begin()
        return folder

    @classmethod
    def prepared(cls, root: Path, key: ActivationKey, *, width: int, shard_tokens: int) -> ShardFolder:
        """The folder, which may not be there yet: nothing is made before `begin`.

        Raises:
            ValueError: What is there has another width or other shards.
        """
        folder = cls(root / key.hash, key, width, shard_tokens)
        if folder._layout.exists():
            there = cls.open(folder.path)
            for field in ("width", "shard_tokens"):
                wanted, found = getattr(folder, field), getattr(there, field)
                if wanted != found:
                    raise ValueError(f"{field}: {wanted} is not allowed: {folder.path} was begun with {found}")
            folder._sweep()
        return folder

    def begin(self) -> None:
        """Make the folder where it is not there."""
        if not self._layout.exists():
            self.path.mkdir(parents=True, exist_ok=True)
            text = json.dumps(asdict(self.key) | {"width": self.width, "shard_tokens": self.shard_tokens}, indent=1)
            _publish(self._layout, text.encode())

    @property
    def _layout(self) -> Path:
        return self.path / "layout.json"

    @classmethod
    def open(cls, path: Path) -> ShardFolder:
        """The folder at a path.

        Raises:
            ValueError: There is none.
        """
        try:
            found = json.loads((path / "layout.json").read_bytes())
            width, tokens = int(found.pop("width")), int(found.pop("shard_tokens"))
            return cls(path, ActivationKey(**found), width, tokens)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ValueError(f"activations: {path} is no folder of shards ({error})") from None

    def shard_path(self, number: int) -> Path:
        """Where a shard is, or would be."""
        return self.path / f"shard-{number:05}.arrow"

    def shards(self) -> dict[int, Path]:
        """Shards that are there, by number."""
        found = ((_SHARD.fullmatch(path.name), path) for path in (self.path.iterdir() if self.path.is_dir() else ()))
        return dict(sorted((int(match[1]), path) for match, path in found if match))

    def write(self, number: int, columns: dict[str, NDArray[Any]], activations: Tensor) -> Path:
        """Write a shard; it is there whole or not at all, whatever happens.

        Args:
            number: Number of the shard.
            columns: `document`, `position` and `token_id` of the rows, each of shape (tokens,).
            activations: Shape (tokens, width), in the folder's dtype, contiguous, on the CPU.

        Raises:
            ValueError: The width is another, or a number is not finite (as one beyond 65,504 is in float16).
        """
        self._check(number, activations)
        values = pa.Array.from_buffers(  # no copy: the tensor's own memory is written
            _ARROW[self.key.dtype],
            activations.numel(),
            [None, pa.py_buffer(memoryview(cast(Any, activations.numpy())).cast("B"))],
        )
        vectors = pa.FixedSizeListArray.from_arrays(values, self.width)
        arrays = [pa.array(columns[name]) for name in ("document", "position", "token_id")]
        batch = pa.RecordBatch.from_arrays([*arrays, vectors], schema=self._schema(number))
        target = self.shard_path(number)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
        try:
            with (
                DirectFile(temporary) as file,
                pa.PythonFile(file) as sink,
                pa.ipc.new_file(sink, batch.schema) as writer,
            ):
                writer.write_batch(batch)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        return target

    def _check(self, number: int, activations: Tensor) -> None:
        if activations.ndim != 2 or activations.shape[1] != self.width or len(activations) == 0:
            raise ValueError(f"activations: shape {tuple(activations.shape)} is not allowed: (1 or more, {self.width})")
        low, high = torch.aminmax(activations)
        if not (torch.isfinite(low) and torch.isfinite(high)):
            raise ValueError(
                f"activations: shard {number} of site {self.key.site!r} has a number that is not finite as"
                f" {self.key.dtype}: allowed are finite ones up to {torch.finfo(DTYPES[self.key.dtype]).max:g}"
            )

    def _schema(self, number: int) -> pa.Schema:
        return pa.schema(
            [
                pa.field("document", pa.int64(), nullable=False),
                pa.field("position", pa.int32(), nullable=False),
                pa.field("token_id", pa.int32(), nullable=False),
                pa.field("activation", pa.list_(_ARROW[self.key.dtype], self.width), nullable=False),
            ],
            metadata={"key": json.dumps(asdict(self.key), sort_keys=True), "shard": str(number)},
        )

    def row(self, number: int) -> dict[str, Any]:
        """A shard as a row of `SHARD_COLUMNS`."""
        path = self.shard_path(number)
        with pa.memory_map(str(path)) as source:
            documents = pa.ipc.open_file(source).get_batch(0).column("document").to_numpy()
            return {
                "activation_hash": self.key.hash,
                **asdict(self.key),
                "width": self.width,
                "shard": number,
                "path": str(path),
                "tokens": documents.size,
                "first_document": int(documents[0]),
                "last_document": int(documents[-1]),
                "bytes": path.stat().st_size,
            }

    def _sweep(self) -> None:
        """Remove what a killed writer left; a file of the last hour may be another's that is still at it."""
        for path in self.path.glob(".*.tmp"):
            try:
                if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                    path.unlink()
            except FileNotFoundError:  # its writer, or another sweeper, was quicker
                continue


def shard_columns(
    documents: NDArray[np.int64], positions: NDArray[np.int32], tokens: NDArray[np.int32]
) -> dict[str, NDArray[Any]]:
    """The columns beside the vectors, by name."""
    return {"document": documents, "position": positions, "token_id": tokens}


def _publish(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def token_ids_of(path: str | Path) -> NDArray[np.int32]:
    """Token ids of a shard, shape (tokens,)."""
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
        return np.array(reader.get_batch(0).column("token_id").to_numpy())
