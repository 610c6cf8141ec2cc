"""Lines of pages out of rows of the series store: what is read of each table, and what is drawn of it."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from sqlalchemy import select

from tracebank.resources import Stores
from tracebank_assets.forecasting.forecasts import STORED
from tracebank_schemas.forecasting import BACKTEST_EQUITY, FORECASTS, Backtest, ForecastModel
from tracebank_schemas.language_model import TRAINING_CURVES
from tracebank_schemas.market import BARS, BOOK
from tracebank_schemas.reinforcement_learning import ROLLOUT_STEPS, RLConstraint, RLRun
from tracebank_schemas.series import SeriesTable

if TYPE_CHECKING:
    from collections.abc import Sequence

Partition = Mapping[str, Any]
UTC: Final = "UTC"
POINTS: Final = 500
"""Most of a line."""
_DIGITS: Final = 6
_COUNTED: Final = ("seconds", "tokens", "windows", "updates", "gradient_steps", "episodes")
"""Metrics of trainings that only count what was done."""
_FORECAST: Final = 500
"""Ticks of a sample of forecasts, from the middle of what is stored."""
_AROUND: Final = timedelta(minutes=5)
"""Rows of the book that are read before and after such a sample: the furthest horizon lies within."""
_HORIZONS: Final = 3
"""Horizons of such a sample: the nearest, the middle one and the furthest."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A line before it is thinned."""

    run: str
    line: str
    xs: pl.Series
    ys: pl.Series
    rows: int
    """Of the series store that it stands for."""
    x_unit: str
    y_unit: str = ""
    told: str = ""
    band: tuple[pl.Series, pl.Series] | None = None
    even: bool = False
    """Keep every k-th point, the same of all lines of a run, in place of the extremes: it is played back."""

    def row(self, subject: str, position: int, version: str) -> dict[str, Any]:
        """As `relational.curves` keeps it."""
        from tracebank_models.sample_statistics.thinning import thinned

        count = len(self.xs)
        kept = range(0, count, math.ceil(count / POINTS)) if self.even and count else thinned(self.ys, POINTS)
        places = pl.Series(list(kept), dtype=pl.UInt32)
        low, high = self.band or (pl.Series([], dtype=pl.Float64),) * 2
        some = places if self.band else places.head(0)
        return {
            "subject": subject, "run": self.run, "line": self.line, "position": position,
            "x_unit": self.x_unit, "y_unit": self.y_unit, "told": self.told, "rows": self.rows,
            "xs": self.xs.cast(pl.Float64).gather(places).round(3).to_list(), "ys": _numbers(self.ys, places),
            "lows": _numbers(low, some), "highs": _numbers(high, some), "data_version": version,
        }  # fmt: skip


def _numbers(values: pl.Series, places: pl.Series) -> list[float | None]:
    known = values.cast(pl.Float64).gather(places)
    return known.set(~known.is_finite(), None).round_sig_figs(_DIGITS).to_list()


def rows_of(
    stores: Stores,
    table: SeriesTable,
    partition: Partition,
    columns: "Sequence[str]",
    kept: pl.Expr | None = None,
    **span: Any,
) -> pl.DataFrame:
    """Rows of a partition, in order; only those that are kept are held at once.

    Args:
        stores: where they are.
        table: of the series store.
        partition: of the table.
        columns: that are read.
        kept: condition on these; None: all.
        span: `start` and `end`, as `read_batches` has them.
    """
    found = []
    for batch in stores.series.read_batches(table, partition=partition, columns=columns, **span):
        frame = pl.from_arrow(batch)
        assert isinstance(frame, pl.DataFrame)
        found.append(frame if kept is None else frame.filter(kept))
    return pl.concat(found) if found else pl.DataFrame(schema={name: table.polars_schema[name] for name in columns})


def seconds(column: pl.Series) -> pl.Series:
    """Times as seconds since 1970."""
    return column.dt.epoch("ns") / 1e9


def equity(stores: Stores, partition: Partition) -> Iterator[Drawn]:
    """What a strategy, or holding beside it, had earned."""
    key = str(partition["backtest"])
    with stores.relational.reading() as session:
        row = session.get(Backtest, key)
        run, line = (row.strategy, row.kind) if row else (key, "equity")
    found = rows_of(stores, BACKTEST_EQUITY, partition, ["ts", "equity"])
    yield Drawn(run, line, seconds(found["ts"]), found["equity"], found.height, UTC, "quote currency")


def training(stores: Stores, partition: Partition) -> Iterator[Drawn]:
    """Every metric of a training; of several dictionaries in one run each has its own name."""
    found = rows_of(stores, TRAINING_CURVES, partition, ["name", "metric", "step", "value"])
    several = found["name"].n_unique() > 1
    for (name, metric), part in found.sort("step").group_by("name", "metric", maintain_order=True):
        if metric not in _COUNTED:
            run = str(name if several else partition["run"])
            yield Drawn(run, str(metric), part["step"], part["value"], part.height, "step")


def bars(stores: Stores, partition: Partition) -> Iterator[Drawn]:
    """Prices, volumes and spreads of a symbol's day, by venue and length of the bar."""
    columns = ["ts", "venue", "close", "volume", "mean_spread", "interval_s"]
    found = rows_of(stores, BARS, partition, columns)
    for (venue, length), part in found.group_by("venue", "interval_s", maintain_order=True):
        run = f"{venue}/{partition['symbol']}/{partition['day']}/{length} s"
        units = {"close": "price", "volume": "quantity", "mean_spread": "price"}
        for name, unit in units.items():
            yield Drawn(run, name, seconds(part["ts"]), part[name], part.height, UTC, unit)


def rollout(stores: Stores, partition: Partition) -> Iterator[Drawn]:
    """The last whole episode of the first environment, as it can be played back, and what it broke."""
    from tracebank_models.system3.playback import lines_of

    run = str(partition["run"])
    with stores.relational.reading() as session:
        environment = session.scalar(select(RLRun.environment).where(RLRun.run == run)) or ""
        texts = session.scalars(select(RLConstraint.text).where(RLConstraint.run == run).order_by(RLConstraint.place))
        rules = list(texts)
    ends = ["environment", "episode", "terminated", "truncated"]
    whole = rows_of(stores, ROLLOUT_STEPS, partition, ends, pl.col("environment") == 0)
    ended = whole.filter(pl.col("terminated") | pl.col("truncated"))
    episode = (ended if ended.height else whole)["episode"].max()
    if not isinstance(episode, int):  # no step of it is stored
        return
    wanted = (pl.col("environment") == 0) & (pl.col("episode") == episode)
    columns = ["environment", "episode", "observation", "reward", "cost", "satisfaction"]
    steps = rows_of(stores, ROLLOUT_STEPS, partition, columns, wanted)
    seen = steps["observation"].list.to_array(steps["observation"].list.len()[0]).to_numpy()
    kept = steps["satisfaction"].list
    lines = {name: pl.Series(values) for name, values in lines_of(environment, seen).items()}
    lines |= {"reward": steps["reward"].cum_sum(), "cost": steps["cost"].cum_sum()}
    # A rule that is broken between two points that are kept is broken in the first of them.
    width = math.ceil(max(1, steps.height) / POINTS)
    for place, text in enumerate(rules):
        satisfied = kept.get(place, null_on_oob=True).reverse().rolling_min(width, min_samples=1).reverse()
        lines[f"satisfied: {text}"[:100]] = satisfied
    told = f"{environment}, episode {episode} of environment 0"
    at = pl.Series(range(steps.height), dtype=pl.Int64)
    for name, values in lines.items():
        yield Drawn(run, name, at, values, steps.height, "step", told=told, even=True)


def forecasts(stores: Stores, partition: Partition) -> Iterator[Drawn]:
    """Some ticks of a model's forecasts beside the returns that came, in basis points."""
    if partition["made"] != STORED:
        return
    with stores.relational.reading() as session:
        model = session.get(ForecastModel, partition["model"])
        if model is None:
            return
        session.expunge(model)
    told = _some_forecasts(stores, partition, sorted(model.horizons))
    if told.is_empty():
        return
    asked = sorted(told["horizon"].unique())
    scale, came = _returns(stores, partition, model, told, asked)
    run = f"{model.model}/{partition['symbol']}/{partition['day']}"
    about = f"{model.name}, seed {model.seed}; {model.price}; {told['ts'].n_unique()} ticks from the middle"
    for place, horizon in enumerate(asked):
        part = told.filter(horizon=horizon)
        xs, ys = seconds(part["ts"]), part["value"].cast(pl.Float64) * scale[place]
        beside = part.select("ts").join(came, on="ts", how="left", maintain_order="left")[str(horizon)]
        ahead = f"{horizon} tick{'s' * (horizon > 1)} ahead"
        yield Drawn(run, f"forecast, {ahead}", xs, ys, part.height, UTC, "basis points", about)
        yield Drawn(run, f"return, {ahead}", xs, beside, part.height, UTC, "basis points", about)


def _some_forecasts(stores: Stores, partition: Partition, horizons: list[int]) -> pl.DataFrame:
    asked = {horizons[0], horizons[len(horizons) // 2], horizons[-1]} if len(horizons) > _HORIZONS else set(horizons)
    central = pl.col("quantile").is_null() | (pl.col("quantile") == 0.5)
    columns = ["ts", "row", "horizon", "quantile", "value"]
    found = rows_of(stores, FORECASTS, partition, columns, pl.col("horizon").is_in(list(asked)) & central)
    rows = found["row"].unique().sort()
    first = rows[max(0, (len(rows) - _FORECAST) // 2)] if len(rows) else 0
    return found.filter(pl.col("row").is_between(first, first + _FORECAST - 1)).sort("horizon", "row")


def _returns(
    stores: Stores, partition: Partition, model: ForecastModel, told: pl.DataFrame, horizons: list[int]
) -> tuple[list[float], pl.DataFrame]:
    """What forecasts of horizons are multiplied by to be basis points; and the returns that came, `ts` and horizons."""
    from tracebank_assets.forecasting.stored_ticks import gaps_of
    from tracebank_models.order_book_features.reading import read_ticks
    from tracebank_models.order_book_features.targets import target_scale, targets

    day, symbol = partition["day"], partition["symbol"]
    first, last = told["ts"].min(), told["ts"].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    place = {"day": day, "symbol": symbol}
    book = stores.series.read(BOOK, partition=place, start=first - _AROUND, end=last + _AROUND)
    ticks = read_ticks(book.filter(venue=model.venue), gaps_of(stores, day, symbol, model.venue), model.clock)  # type: ignore[arg-type]
    came = targets(ticks, model.price, horizons, scaled=False)  # type: ignore[arg-type]
    columns = {str(horizon): came[:, place].astype("f8") for place, horizon in enumerate(horizons)}
    frame = pl.DataFrame({"ts": pl.Series(ticks.times).cast(told.schema["ts"]), **columns})
    return target_scale(horizons).tolist(), frame.unique("ts", keep="first", maintain_order=True)


Reader = Callable[[Stores, Iterable[Partition]], Iterator[Drawn]]
"""Lines of the partitions that one materialisation wrote."""


def each(read: Callable[[Stores, Partition], Iterator[Drawn]]) -> Reader:
    """A reader whose partitions have nothing to do with each other."""

    def lines(of: Callable[[Stores, Partition], Iterator[Drawn]], stores: Stores, parts: Iterable[Partition]) -> Any:
        for part in parts:
            yield from of(stores, part)

    return partial(lines, read)
