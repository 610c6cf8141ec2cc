"""A stored model on recordings: its rows take the place of an earlier replay's, all of them or none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.forecasting.made_ticks import made_ticks
from tests.homes import Home, opened
from tests.market.test_live_book import depth
from typer.testing import CliRunner

from tracebank.settings import Settings
from tracebank_assets.commands.forecasting import forecasting
from tracebank_models.forecasting.settings import ForecastSettings
from tracebank_models.forecasting.training import train
from tracebank_models.order_book_features.splits import Split
from tracebank_schemas.forecasting import ForecastModel

LOOK_BACK, HORIZONS, KEY = 5, (1, 2), "abc"


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home in which the control stands."""
    with opened(settings, monkeypatch) as home:
        asked = ForecastSettings(model="imbalance", look_back=LOOK_BACK, horizons=HORIZONS)
        folder, now = home.settings.home / "forecasting" / KEY, datetime.now(UTC)
        folder.parent.mkdir(parents=True)
        train(asked, made_ticks(200), Split(range(150), range(0), range(0)), "cpu").save(folder)
        row = ForecastModel(
            model=KEY, name="imbalance", venue="binance_spot", symbol="BTCUSDT", day=now.date(), clock="local",
            price="mid", features="paper", horizons=list(HORIZONS), quantiles=[], look_back=LOOK_BACK, seed=0,
            settings={}, code_version="", parameters=1, windows=1, path=str(folder), device="cpu", seconds=0.0,
            trained_at=now,
        )  # fmt: skip
        with home.relational.session() as session:
            session.add(row)
        yield home


def test_a_replay_takes_the_place_of_the_one_before_whole_or_not_at_all(home: Home, tmp_path: Path) -> None:
    first, second, cut = tmp_path / "first.log", tmp_path / "second.log", tmp_path / "cut.zst"
    first.write_bytes(b"\n".join(depth(update, bid=100.0 + update % 3) for update in range(1, 1_200)) + b"\n")
    second.write_bytes(b"\n".join(depth(update) for update in range(1_200, 1_301)) + b"\n")
    cut.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(40))

    def rows() -> int:
        return int(home.sql("SELECT count() AS n FROM series.forecasts")["n"].item())

    run, whole = CliRunner(), 2 * (1_300 - LOOK_BACK + 1)
    for _ in range(2):  # again does no harm
        done = run.invoke(forecasting, ["follow", KEY, "--replay", str(first), "--replay", str(second)])
        assert done.exit_code == 0, done.output
        assert rows() == whole
    for wrong in (cut, tmp_path / "none.log"):
        done = run.invoke(forecasting, ["follow", KEY, "--replay", str(first), "--replay", str(wrong)])
        assert done.exit_code == 2, done.output
        assert rows() == whole, "what stood stands"
