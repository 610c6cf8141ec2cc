"""Asset `forecasting/forecasts`: what every model says of a day, and how good that is."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import dagster as dg
import numpy as np
import polars as pl
from pydantic import Field

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank.stores.relational import RelationalStore
from tracebank_assets.artifacts import artifact
from tracebank_assets.devices import prepared_device
from tracebank_assets.forecasting.catalogue import Row, judged_models, judged_rows, models_for, not_judged
from tracebank_assets.forecasting.keys import BOOK_KEY, CONTROL, GROUP, MODELS_KEY
from tracebank_assets.forecasting.stored_ticks import DayOfTicks
from tracebank_assets.market.partitions import DAY_BY_SYMBOL, day_and_symbol
from tracebank_assets.materialised import Figure, materialised
from tracebank_assets.sparklines import sparkline
from tracebank_assets.studies import on_gpu
from tracebank_schemas.forecasting import FORECASTS, ForecastScore

if TYPE_CHECKING:
    from tracebank_models.forecasting.forecaster import Forecasts
    from tracebank_models.order_book_features.ticks import Ticks

_NUMBERS: Final = "forecasts_are_numbers"
_INTERVALS: Final = "scores_have_intervals"
CHECKS: Final = {
    _NUMBERS: "Every forecast is finite.",
    _INTERVALS: "Scores have intervals, and what they stand beside.",
}
STORED: Final = "stored"
LIVE: Final = "live"
REPLAYED: Final = "replayed"
"""How forecasts were made: of stored rows, as rows came, or of a recording as if they came."""


class ForecastsConfig(dg.Config):
    """What forecasts."""

    models: list[str] = Field(default=[], description="Names of architectures or keys of models; empty: all.")
    only_new: bool = Field(default=False, description="Those alone that have no scores of the day; all where each has.")


@artifact(
    GROUP,
    FORECASTS,
    ForecastScore,
    checks=CHECKS,
    not_empty=True,
    deps=[BOOK_KEY, dg.AssetDep(MODELS_KEY, partition_mapping=dg.AllPartitionMapping())],
    partitions_def=DAY_BY_SYMBOL,
    **on_gpu(),
    kinds={"torch"},
)
def forecasts(context: dg.AssetExecutionContext, config: ForecastsConfig, stores: Stores) -> dg.MaterializeResult:
    """Forecasts of a day by every model that learned from it or an earlier one: of its own day of the test alone.

    Scores hold them against all three prices, whichever a model was trained for, and beside what the linear control
    scores where one was trained: what a forecast gains on the weighted mid alone is mechanical.
    """
    from tracebank_models.forecasting.scores import scores

    day, symbol = day_and_symbol(context)
    device = prepared_device(stores.settings, threads=1)
    finite, told = True, []
    with materialised(context, stores) as made:
        made.device = str(device)
        said = _Said(stores.relational, DayOfTicks(stores, day, symbol), str(device))
        asked, every = (models_for(stores.relational, day, symbol, names) for names in (config.models, ()))
        asked = not_judged(stores.relational, asked, day) if config.only_new else asked
        found = judged_models(stores.relational, asked, said.ticks, context.log.warning)
        controls = [
            model
            for model in judged_models(stores.relational, every, said.ticks, context.log.debug)
            if model["name"] == CONTROL
        ]
        with track(f"forecasts of {symbol}", len(found)) as advance:
            for model in found:
                made.inputs[model["model"]] = model["code_version"]
                ticks, forecast = said.by(model)
                finite &= bool(np.isfinite(forecast.values).all())
                partition = {"day": day, "symbol": symbol, "model": model["model"], "made": STORED}
                made.into(FORECASTS, partition).write(forecast_frame(model["model"], ticks, forecast, STORED))
                control = next((said.by(one)[1] for one in controls[::-1] if said.alike(one, model)), None)
                scored = scores(forecast, ticks, control)
                told.append(scored.with_columns(model=pl.lit(model["model"]), day=pl.lit(day)))
                advance(1)
        scored = pl.concat(told).rename({"null": "baseline", "null_value": "baseline_value"})
        keys = [model["model"] for model in found]
        made.into(ForecastScore, ForecastScore.model.in_(keys) & (ForecastScore.day == day)).write(scored)
    return made.result(_figures(found, scored), _results(scored, finite=finite))


@dataclass(slots=True)
class _Said:
    """What models say of a day, each asked once."""

    relational: RelationalStore
    ticks: DayOfTicks
    device: str
    _forecasts: "dict[str, Forecasts]" = field(default_factory=dict)

    def by(self, model: Row) -> "tuple[Ticks, Forecasts]":
        """The day's ticks and a model's forecasts of those that it is judged on."""
        from tracebank_models.forecasting.forecaster import load

        key, ticks = model["model"], self.ticks.of(model)
        if key not in self._forecasts:
            rows = self._rows(model)
            self._forecasts[key] = load(Path(model["path"])).forecast(ticks, rows, self.device)
        return ticks, self._forecasts[key]

    def alike(self, one: Row, model: Row) -> bool:
        """Whether a linear control stands beside a model: it is judged on the same rows, and learned none of them."""
        return is_control_of(one, model) and self._rows(one) == self._rows(model)

    def _rows(self, model: Row) -> range:
        return judged_rows(self.relational, model, self.ticks)


def is_control_of(one: Row, model: Row) -> bool:
    """Whether a linear control forecasts what a model does, of the same day."""
    same = ("venue", "day", "price", "horizons", "quantiles", "look_back")
    return all(one[name] == model[name] for name in same)


def _figures(found: list[Row], scored: pl.DataFrame) -> dict[str, Figure]:
    """R² of the price that each model forecasts, over its horizons."""
    r2 = scored.filter(metric="r2").sort("horizon")
    return {
        f"{model['name']}_{model['seed']}_r2_line": sparkline(
            r2.filter(model=model["model"], price=model["price"])["value"].to_list()
        )
        for model in found
    }


def _results(scored: pl.DataFrame, *, finite: bool) -> list[dg.AssetCheckResult]:
    bare = scored.filter(pl.col("value").is_not_null(), pl.col("low").is_null() | pl.col("baseline_value").is_null())
    warn = dg.AssetCheckSeverity.WARN
    return [
        dg.AssetCheckResult(check_name=_NUMBERS, passed=finite),
        dg.AssetCheckResult(
            check_name=_INTERVALS, passed=bare.is_empty(), severity=warn, metadata={"without": bare.height}
        ),
    ]


def forecast_frame(model: str, ticks: "Ticks", said: "Forecasts", made: str) -> pl.DataFrame:
    """Rows of `series.forecasts`."""
    horizons, outputs = len(said.horizons), said.values.shape[2]
    quantiles = np.asarray(said.quantiles or (np.nan,))
    each = len(said.ends) * outputs
    ends = np.tile(np.repeat(said.ends, outputs), horizons)
    frame = pl.DataFrame(
        {
            "ts": pl.Series(ticks.times[ends]).cast(pl.Datetime("ns", "UTC")),
            "row": ends,
            "horizon": np.repeat(np.asarray(said.horizons, np.int32), each),
            "quantile": pl.Series(np.tile(quantiles, len(said.ends) * horizons)).fill_nan(None),
            "value": said.values.transpose(1, 0, 2).reshape(-1),
        }
    )
    names = {"venue": ticks.venue, "symbol": ticks.symbol, "model": model, "made": made}
    whole = frame.with_columns(pl.lit(value).alias(name) for name, value in names.items())
    return whole.select(pl.col(column).cast(kind) for column, kind in FORECASTS.polars_schema.items())
