"""Models that stand, and which of them a day is forecast by."""

import json
from collections.abc import Callable, Collection, Sequence
from datetime import date
from typing import Any

import dagster as dg
from sqlalchemy import select

from tracebank.stores.relational import RelationalStore
from tracebank_assets.forecasting.stored_ticks import DayOfTicks, moment
from tracebank_schemas.forecasting import ForecastModel, ForecastScore, ForecastSplit

Row = dict[str, Any]


def models_for(relational: RelationalStore, day: date, symbol: str, asked: Collection[str] = ()) -> list[Row]:
    """Models that learned of the symbol on the day or earlier; of the same settings and rows the newest.

    Args:
        relational: the catalogue.
        day: that is forecast.
        symbol: of the book.
        asked: names of architectures, or keys of models; none: all.

    Returns:
        Rows of `forecast_models`.

    Raises:
        dg.Failure: there is none, or none of what is asked for.
    """
    query = select(ForecastModel).where(ForecastModel.symbol == symbol, ForecastModel.day <= day)
    with relational.reading() as session:
        rows = [row.row() for row in session.scalars(query.order_by(ForecastModel.trained_at, ForecastModel.model))]
    known = {row["name"] for row in rows} | {row["model"] for row in rows}
    if missing := [one for one in asked if one not in known]:
        raise dg.Failure(
            f"models: {missing[0]!r} is not allowed; allowed: {', '.join(sorted(known)) or 'none is there'}"
        )
    newest = {_told(row): row for row in rows if not asked or asked_for(row, asked)}
    if not newest:
        raise dg.Failure(f"no model of {symbol} learned from {day} or an earlier day; materialise forecasting/models")
    return list(newest.values())


def not_judged(relational: RelationalStore, models: Sequence[Row], day: date) -> list[Row]:
    """Of models those that have no scores of a day yet; all where each has."""
    with relational.reading() as session:
        judged = set(session.scalars(select(ForecastScore.model).where(ForecastScore.day == day).distinct()))
    return [model for model in models if model["model"] not in judged] or list(models)


def asked_for(row: Row, asked: Collection[str]) -> bool:
    """Whether a model is among names or keys."""
    return row["name"] in asked or row["model"] in asked


def _told(row: Row) -> tuple[str, ...]:
    return row["venue"], str(row["day"]), json.dumps(row["settings"], sort_keys=True)


def judged_models(
    relational: RelationalStore, models: Sequence[Row], ticks: DayOfTicks, tell: Callable[[str], object]
) -> list[Row]:
    """Models that something of a day is left to judge on; the others are told of, and do not keep these from it.

    Raises:
        dg.Failure: there is none.
    """
    kept, reasons = list[Row](), list[str]()
    for model in models:
        try:
            judged_rows(relational, model, ticks)
        except dg.Failure as failure:
            reasons.append(failure.description or "")
        else:
            kept.append(model)
    if not kept:
        raise dg.Failure(reasons[0])
    for reason in reasons:
        tell(reason)
    return kept


def judged_rows(relational: RelationalStore, model: Row, ticks: DayOfTicks) -> range:
    """Rows of a day that a model is judged on: of its own day the test, of a later one all.

    Raises:
        dg.Failure: its own day was learned from whole, or has other rows by now: what was learned from cannot be told.
    """
    times = ticks.of(model).times
    if model["day"] != ticks.day:
        return range(len(times))
    row = ForecastSplit
    query = select(row.split, row.first_row, row.last_row, row.first_ts, row.last_ts)
    with relational.reading() as session:
        found: Sequence[Any] = session.execute(query.where(row.model == model["model"])).all()
    if any(
        last >= len(times) or (moment(times[first]), moment(times[last])) != (first_ts, last_ts)
        for _, first, last, first_ts, last_ts in found
    ):
        raise dg.Failure(f"model {model['model']} learned from other rows of {ticks.day} than are stored; train anew")
    for split, first, last, *_ in found:
        if split == "test":
            return range(first, last + 1)
    raise dg.Failure(f"model {model['model']} learned from all of {ticks.day}; nothing of it is left to judge it on")
