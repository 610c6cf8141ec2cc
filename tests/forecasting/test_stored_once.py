"""Forecasts of ticks as they come are stored once, whatever becomes of the answer that they are."""

from __future__ import annotations

import random
import threading
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sqlalchemy.engine import make_url
from tests.stores.killed_writer import kill_owner

from tracebank.engines.clickhouse.reach import stop
from tracebank.engines.clickhouse.store import ClickHouseStore
from tracebank.stores.faults import FrameRefused, StoreError
from tracebank_assets.forecasting import follow
from tracebank_assets.forecasting.group_commit import Labels, Said
from tracebank_schemas.forecasting import FORECASTS
from tracebank_schemas.series import Partition

LABELS = Labels("v", "BTCUSDT", "m", "live", (1, 5), (None,))
BEGIN = 1_700_000_000_123_456_789
PARTITION: Partition = {"day": date(2023, 11, 14), "symbol": "BTCUSDT", "model": "m", "made": "live"}


def rows(*numbers: int) -> pl.DataFrame:
    return LABELS.frame([Said(0, BEGIN + number, number, np.full((2, 1), number)) for number in numbers])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClickHouseStore:
    """An embedded store with the table."""
    made = ClickHouseStore(make_url(f"chdb:///{tmp_path_factory.mktemp('once') / 'series'}"), lock_timeout=60)
    made.create(FORECASTS)
    return made


@pytest.fixture(autouse=True)
def _empty(store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_WAITS", (0.0, 0.0, 0.5, 1.0))
    store.delete(FORECASTS, PARTITION)


def stored(store: ClickHouseStore) -> list[int]:
    return store.read(FORECASTS)["row"].sort().to_list()


@pytest.mark.parametrize("is_done", [True, False])
def test_an_answer_that_is_lost(store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch, *, is_done: bool) -> None:
    insert, tried = ClickHouseStore.insert, 0

    def lost(self: ClickHouseStore, *told: object) -> None:
        nonlocal tried
        tried += 1
        if tried > 1 or is_done:
            insert(self, *told)  # type: ignore[arg-type]
        if tried == 1:
            raise StoreError("no answer")

    follow.insert_once(store, PARTITION, rows(0, 1))
    monkeypatch.setattr(ClickHouseStore, "insert", lost)
    follow.insert_once(store, PARTITION, rows(2, 3, 4))
    assert stored(store) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert tried == (1 if is_done else 2)


def test_rows_that_do_not_fit_are_not_tried_again(store: ClickHouseStore) -> None:
    with pytest.raises(FrameRefused, match="columns"):
        follow.insert_once(store, PARTITION, rows(0).drop("row"))
    assert stored(store) == []


def test_a_few_rows_of_two_days_are_inserted_too(store: ClickHouseStore) -> None:
    days = rows(0, 86_400_000_000_000)
    store.insert(FORECASTS, days)
    assert store.read(FORECASTS).sort("ts", "horizon").equals(days.sort("ts", "horizon"))
    store.delete(FORECASTS, {**PARTITION, "day": date(2023, 11, 15)})


def test_an_owner_that_is_killed(store: ClickHouseStore) -> None:
    killer = threading.Timer(random.uniform(0, 0.2), kill_owner, [str(store.folder)])
    killer.start()
    for number in range(30):
        follow.insert_once(store, PARTITION, rows(number))
    killer.join()
    assert stored(store) == [number for number in range(30) for _ in range(2)]
    stop(Path(str(store.folder)))
