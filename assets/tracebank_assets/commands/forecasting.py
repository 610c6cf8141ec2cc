"""`tracebank forecast`: forecasters of an order book, what they say, and what trading on it would have earned."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

from tracebank_assets.commands.catalogue import catalogue

if TYPE_CHECKING:
    import dagster as dg

forecasting = typer.Typer(
    name="forecast",
    help="Forecasters of an order book, and what trading on them would have earned.",
    no_args_is_help=True,
    suggest_commands=False,
)
Symbol = Annotated[str, typer.Argument(help="Of a stored book, such as BTCUSDT.")]
Day = Annotated[str, typer.Option(help="UTC, as YYYY-MM-DD; empty: the last one with a book.")]
Signals = Annotated[str, typer.Option(help="How many forecasts have to agree, with commas between.")]
Fill = Annotated[str, typer.Option(help="Price of orders: weighted_mid, mid, touch or walk.")]
Fee = Annotated[float, typer.Option(help="Of the notional, each side; 0.0001 is a basis point.")]
Delay = Annotated[int, typer.Option(help="Ticks from a decision to its fill.")]


@forecasting.command("train")
def train(
    symbol: Symbol,
    day: Day = "",
    models: Annotated[str, typer.Option(help="With commas between; empty: the usual ones.")] = "",
    seeds: Annotated[int, typer.Option(min=1, help="The first so many.")] = 1,
    venue: Annotated[str, typer.Option(help="Of the book; empty: the one with the most rows.")] = "",
    price: Annotated[str, typer.Option(help="That is forecast: mid, weighted_mid or micro_price.")] = "weighted_mid",
    features: Annotated[str, typer.Option(help="That models see: book, or the paper's.")] = "book",
    epochs: Annotated[int | None, typer.Option(min=1, help="Of training, in place of the usual.")] = None,
    train_share: Annotated[
        float, typer.Option(min=0.01, max=1, help="Of the day, to learn from; a tenth more chooses the epoch.")
    ] = 0.7,
    signals: Signals = "1,3,5",
    fill: Fill = "touch",
    fee: Fee = 0.0,
    delay: Delay = 2,
) -> None:
    """Train on the first part of a day, forecast its last one, and trade on that."""
    from tracebank_assets.forecasting.keys import FORECASTS_KEY, MODELS_KEY

    names = _words(models)
    traded = _traded(names, signals, fill, fee, delay)
    changes: dict[str, Any] = {"price": price, "features": features} | ({"epochs": epochs} if epochs else {})
    validation = min(0.1, 1 - train_share)
    trained = {"venue": venue, "seeds": list(range(seeds)), "changes": changes, "train": train_share}
    trained |= {"validation": validation} | ({"models": names} if names else {})
    # Of a day that was learned from whole nothing is left to judge by.
    is_judged = train_share + validation < 1 - 1e-9
    judged = {FORECASTS_KEY: {"models": names}, **traded} if is_judged else {}
    judged = {key: {**config, "only_new": True} for key, config in judged.items()}
    _run(symbol, day, {MODELS_KEY: trained, **judged}, show_after=is_judged)


@forecasting.command("judge")
def judge(
    symbol: Symbol,
    day: Day = "",
    models: Annotated[str, typer.Option(help="Names or keys, with commas between; empty: all.")] = "",
    signals: Signals = "1,3,5",
    fill: Fill = "touch",
    fee: Fee = 0.0,
    delay: Delay = 2,
) -> None:
    """Forecast a day by models that learned from it or an earlier one, and trade on that."""
    from tracebank_assets.forecasting.keys import FORECASTS_KEY

    names = _words(models)
    _run(symbol, day, {FORECASTS_KEY: {"models": names}, **_traded(names, signals, fill, fee, delay)})


@forecasting.command("show")
def show(symbol: Symbol, day: Day = "") -> None:
    """Show how good forecasts of a day are, and what trading on them would have earned."""
    from tracebank.cli.grid import print_grids
    from tracebank_assets.forecasting.shown import forecast_grids, newest_day

    with catalogue() as (_, relational):
        print_grids(forecast_grids(relational, symbol, _day(day) if day else newest_day(relational, symbol)))


@forecasting.command("follow")
def follow(
    model: Annotated[
        str, typer.Argument(help="Key of a model, or its first characters; `relational.forecast_models`.")
    ],
    replay: Annotated[
        list[Path] | None, typer.Option(exists=True, help="A recording to forecast as if it came now; may stand again.")
    ] = None,
    paced: Annotated[bool, typer.Option(help="A recording comes at its own pace, as live ticks do.")] = False,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Without it, until Ctrl-C.")] = None,
) -> None:
    """Forecast each new tick of a model's venue, which is recorded meanwhile; rows go to series.forecasts."""
    from rich.console import Console

    from tracebank.stores.opening import open_series
    from tracebank_assets.forecasting.follow import follow_files, follow_live, model_named
    from tracebank_assets.market.depth_requests import RecordingError

    if paced and not replay:
        raise click.UsageError("--paced: is of --replay, which names no recording")
    if replay and minutes is not None and not paced:
        raise click.UsageError("--minutes: is not allowed with --replay that is not --paced")
    seconds = None if minutes is None else 60 * minutes
    screen = Console(stderr=True, highlight=False, markup=False)
    with catalogue() as (settings, relational):
        series, chosen = open_series(settings), model_named(relational, model)
        try:
            if replay:
                done = follow_files(series, chosen, replay, at_pace=paced, seconds=seconds)
            else:
                done = follow_live(series, chosen, settings.incoming, seconds, screen.print)
        except (RecordingError, OSError) as error:
            raise click.ClickException(str(error)) from error
    click.echo(
        f"{done.lines:,} lines, {done.ticks:,} ticks in {done.segments:,} stretches, {done.forecasts:,} forecasts"
    )
    click.echo(
        f"from a tick to its forecast {done.to_forecast.p50:.2f} ms (p99 {done.to_forecast.p99:.2f}), "
        f"to its rows {done.to_stored.p50:.1f} ms (p99 {done.to_stored.p99:.1f})"
    )
    if not done.forecasts:
        raise click.ClickException(f"nothing of {chosen['symbol']} was forecast: fewer ticks came than a window has")


def _traded(models: list[str], signals: str, fill: str, fee: float, delay: int) -> dict[dg.AssetKey, dict[str, Any]]:
    from tracebank_assets.forecasting.keys import BACKTESTS_KEY
    from tracebank_models.backtest.settings import StrategySettings
    from tracebank_models.checked_settings import changed_settings
    from tracebank_models.forecasting.settings import ForecastSettings

    words = _words(signals)
    most = 2 * (ForecastSettings().horizons[-1] - StrategySettings().horizon) + 1
    if not words or not all(word.isdecimal() and int(word) % 2 and int(word) <= most for word in words):
        raise click.UsageError(
            f"--signals: {signals!r} is not allowed; allowed: odd numbers up to {most} with commas between"
        )
    strategy = {"fill": fill, "taker_fee": fee, "delay": float(delay)}
    try:  # before anything is trained
        changed_settings(StrategySettings(), strategy, "strategy")
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return {BACKTESTS_KEY: {"models": models, "signals": [int(word) for word in words], "strategy": strategy}}


def _run(symbol: str, day: str, configs: dict[dg.AssetKey, dict[str, Any]], *, show_after: bool = True) -> None:
    from rich.console import Console

    from tracebank.progress import shown_on
    from tracebank_assets.dagster_home import dagster_instance
    from tracebank_assets.forecasting.launches import run_day
    from tracebank_assets.forecasting.stored_ticks import newest_book
    from tracebank_assets.runs import RunFailed

    with catalogue() as (settings, _):
        chosen = _day(day) if day else newest_book(settings, symbol)
    try:
        with dagster_instance(settings) as instance, shown_on(Console(stderr=True)):
            run_day(instance, chosen, symbol, configs)
    except RunFailed as error:
        raise click.ClickException(str(error)) from error
    if show_after:
        show(symbol, str(chosen))
    else:
        click.echo(f"trained on all of {chosen}; a later day shows how good: tracebank forecast judge {symbol} --day …")


def _day(given: str) -> date:
    try:
        return date.fromisoformat(given)
    except ValueError as error:
        raise click.UsageError(f"--day: {given!r} is not allowed; allowed: YYYY-MM-DD") from error


def _words(given: str) -> list[str]:
    return [word.strip() for word in given.split(",") if word.strip()]
