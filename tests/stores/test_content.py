"""The digest of rows: the same however they are written and read, and another for other rows."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from tracebank.content import ModelContent, SeriesContent
from tracebank.settings import Settings
from tracebank.stores.opening import open_series
from tracebank_schemas.language_model import LanguageModel
from tracebank_schemas.series import TIMESTAMP, Column, SeriesTable

TABLE = SeriesTable(
    "everything",
    "Every kind of column.",
    (
        Column("part", pa.string(), "p", repeated=True),
        Column("seq", pa.int64(), "n"),
        Column("ts", TIMESTAMP, "t", nullable=True),
        Column("day", pa.date32(), "d", nullable=True),
        Column("flag", pa.bool_(), "f", nullable=True),
        Column("small", pa.int8(), "s", nullable=True),
        Column("large", pa.uint64(), "l", nullable=True),
        Column("half", pa.float32(), "h", nullable=True),
        Column("value", pa.float64(), "v", nullable=True),
        Column("name", pa.string(), "n", nullable=True, repeated=True),
        Column("text", pa.string(), "x", nullable=True),
        Column("vector", pa.list_(pa.float32()), "v"),
        Column("made", TIMESTAMP, "m", volatile=True),
    ),
    ("seq",),
    ("part",),
    ("part", "seq"),
)
MOMENT = datetime(2024, 8, 8, 1, 2, 3, 456789, UTC)
ROWS: list[dict[str, Any]] = [
    {
        "part": "p", "seq": seq, "ts": MOMENT if seq % 3 else None, "day": date(2024, 8, 8) if seq % 4 else None,
        "flag": (True, False, None)[seq % 3], "small": seq - 60 if seq % 5 else None, "large": 2**63 - 1 - seq,
        "half": (0.5, None, -0.0)[seq % 3], "value": (math.nan, math.inf, -math.inf, -0.0, 0.1, None)[seq % 6],
        "name": ("a", "", None)[seq % 3], "text": f"ü{seq}" * (1 + seq % 3 * 6) if seq % 7 else None,
        "vector": [float(place) for place in range(seq % 4)], "made": MOMENT,
    }
    for seq in range(120)
]  # fmt: skip
FRAME = pl.DataFrame(ROWS, schema=TABLE.polars_schema)


def _digest(*frames: Any) -> str:
    content = SeriesContent(TABLE)
    for frame in frames:
        content.update(frame)
    return content.digest


def test_order_blocks_and_kinds_of_frames_do_not_matter() -> None:
    shuffled = FRAME.sample(fraction=1.0, shuffle=True, seed=1)
    assert _digest(FRAME) == _digest(shuffled) == _digest(*FRAME.iter_slices(7)) != "0" * 16
    arrow = FRAME.to_arrow()
    assert _digest(arrow) == _digest(*arrow.to_batches(11)) == _digest(FRAME)
    assert _digest(FRAME.with_columns(pl.col("name").cast(pl.Categorical))) == _digest(FRAME)
    assert _digest(FRAME.with_columns(pl.col("made").dt.offset_by("1h"))) == _digest(FRAME), "volatile"
    assert _digest(FRAME.head(0)) == "0" * 16
    nothing = FRAME.with_columns(name=pl.lit(None, pl.String))
    assert _digest(nothing.with_columns(pl.col("name").cast(pl.Categorical))) == _digest(nothing) != _digest(FRAME)


@pytest.mark.parametrize(
    "changed",
    [
        pl.lit(None, pl.Float64).alias("value"),
        pl.col("value").fill_nan(0.0),
        pl.col("half") + 1,
        pl.col("flag").not_(),
        pl.col("name").fill_null(""),
        pl.col("vector").list.reverse(),
        pl.col("vector").list.slice(0, 1),
        pl.col("ts").dt.offset_by("1ns"),
        pl.col("day").fill_null(date(1970, 1, 1)),
        pl.col("seq").reverse(),
        pl.col("text").shift(1),
    ],
    ids=str,
)
def test_whatever_is_said_otherwise_changes_it(changed: pl.Expr) -> None:
    assert _digest(FRAME.with_columns(changed)) != _digest(FRAME)


def test_it_is_the_same_on_every_machine() -> None:
    assert _digest(FRAME.head(2)) == "cccdb8851d8f952e"


def test_repeated_keys_are_counted() -> None:
    content = SeriesContent(TABLE)
    content.update(FRAME)
    assert content.repeated_keys() == 0
    content.update(FRAME.head(5))
    assert content.repeated_keys() == 5


@pytest.mark.parametrize("engine", ["chdb", "duckdb", "postgresql"])
def test_what_is_read_back_has_the_digest_of_what_was_written(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    urls = {"chdb": f"chdb:///{tmp_path}/series", "duckdb": f"duckdb:///{tmp_path}/s.duckdb"}
    url = urls.get(engine) or request.getfixturevalue("postgres_url")
    store = open_series(Settings.load(home=tmp_path, series_url=url))
    store.create(TABLE)
    store.replace(TABLE, {"part": "p"}, FRAME)
    read = store.read_batches(TABLE, partition={"part": "p"}, ordered=False)
    assert _digest(*read) == _digest(FRAME)
    store.drop(TABLE)


def test_relational_rows_are_digested_without_when_they_were_made() -> None:
    def digest(*rows: dict[str, Any]) -> str:
        content = ModelContent(LanguageModel.__table__)  # type: ignore[arg-type]
        content.update(rows)
        return content.digest

    one, two = {"model": "a", "layers": 1, "catalogued_at": MOMENT}, {"model": "b", "layers": 2}
    assert digest(one, two) == digest(two, one) == digest(two, one | {"catalogued_at": datetime.now(UTC)})
    assert digest(one, two) != digest(one, two | {"layers": 3})
