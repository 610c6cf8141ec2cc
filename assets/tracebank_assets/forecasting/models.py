"""Asset `forecasting/models`: forecasters, each trained on one day of one book."""

import dataclasses
import hashlib
import itertools
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import polars as pl
from pydantic import Field

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank.settings import Settings
from tracebank_assets.artifacts import artifact
from tracebank_assets.code_version import code_version
from tracebank_assets.devices import prepared_device
from tracebank_assets.forecasting.keys import BOOK_KEY, CONTROL, GROUP
from tracebank_assets.forecasting.stored_ticks import moment, stored_ticks
from tracebank_assets.language_models.curves import long_curve
from tracebank_assets.market.partitions import DAY_BY_SYMBOL, day_and_symbol
from tracebank_assets.materialised import Figure, materialised
from tracebank_assets.sparklines import sparkline
from tracebank_assets.studies import on_gpu
from tracebank_schemas.forecasting import ForecastModel, ForecastSplit
from tracebank_schemas.language_model import TRAINING_CURVES

if TYPE_CHECKING:
    from tracebank_models.forecasting.forecaster import TrainedForecaster
    from tracebank_models.forecasting.settings import ForecastSettings
    from tracebank_models.order_book_features.splits import Split
    from tracebank_models.order_book_features.ticks import Ticks

_NUMBERS: Final = "losses_are_numbers"
_SPIKES: Final = "units_spike"
_APART: Final = "splits_share_no_tick"
CHECKS: Final = {
    _NUMBERS: "Losses of training and validation are finite.",
    _SPIKES: "Units that spike do so on some ticks and not on all.",
    _APART: "Train, validation and test touch no tick in common.",
}
USUAL: Final = ["hfformer", "lstm", "dlinear", "imbalance"]


class ModelsConfig(dg.Config):
    """What is trained, and on which rows."""

    venue: str = Field(default="", description="Of the book; empty: the one with the most rows.")
    models: list[str] = Field(default=USUAL, description="Names of architectures.")
    seeds: list[int] = Field(default=[0], description="Of weights and order; each model once for each.")
    changes: dict[str, Any] = Field(default={}, description="To the settings of every model.")
    changes_of: dict[str, dict[str, Any]] = Field(default={}, description="To those of one model, by its name.")
    train: float = Field(default=0.7, gt=0, le=1, description="Share of the day that is learned from.")
    validation: float = Field(default=0.1, ge=0, lt=1, description="Share that chooses the epoch; the rest is test.")


@artifact(
    GROUP,
    ForecastModel,
    ForecastSplit,
    TRAINING_CURVES,
    checks=CHECKS,
    not_empty=True,
    deps=[BOOK_KEY],
    partitions_def=DAY_BY_SYMBOL,
    **on_gpu(),
    kinds={"torch"},
)
def models(context: dg.AssetExecutionContext, config: ModelsConfig, stores: Stores) -> dg.MaterializeResult:
    """Forecasters of one day and symbol: trained on its first part, chosen by the next, to be judged on the rest.

    What was trained of the same rows by the same code and settings is taken as it is; what was cut off goes on.
    """
    from tracebank_models.order_book_features.splits import split_by_time

    day, symbol = day_and_symbol(context)
    asked = settings_of(config)
    device = prepared_device(stores.settings, threads=1)
    with materialised(context, stores) as made:
        made.device = str(device)
        ticks = stored_ticks(stores, day, symbol, config.venue)
        version = stores.ledger.latest_version("/".join(BOOK_KEY.path), str(context.partition_key)) or "unknown"
        split = split_by_time(len(ticks), _shares(config), _purge(asked, len(ticks)))
        keys = [model_key(one, version, ticks.venue, symbol, day, split) for one in asked]
        with track(f"forecasters of {symbol}", sum(_work(one, split) for one in asked)) as advance:
            found = [
                _trained(stores.settings, key, one, ticks, split, advance) for key, one in zip(keys, asked, strict=True)
            ]
        rows = [
            _row(key, one, ticks, day, model_folder(stores.settings, key), str(device))
            for key, one in zip(keys, found, strict=True)
        ]
        made.into(ForecastModel, ForecastModel.model.in_(keys)).write(rows)
        made.into(ForecastSplit, ForecastSplit.model.in_(keys)).write(
            [row for key, one in zip(keys, asked, strict=True) for row in _split_rows(key, one, ticks, split)]
        )
        for key, one in zip(keys, found, strict=True):
            name, seed = one.settings.model, one.settings.seed
            curve = long_curve(_by_step(one), run=key, method="forecasting", name=name, seed=seed)
            made.into(TRAINING_CURVES, {"run": key}).write(curve)
    return made.result(_figures(found), _results(found, split))


def settings_of(config: ModelsConfig) -> "list[ForecastSettings]":
    """Settings of each model and seed.

    Raises:
        ValueError: A setting is not allowed; one line.
        dg.Failure: No model or no seed is asked for.
    """
    from tracebank_models.checked_settings import changed_settings
    from tracebank_models.forecasting.registry import MODELS
    from tracebank_models.forecasting.settings import ForecastSettings

    if not (config.models and config.seeds):
        raise dg.Failure(f"models, seeds: none is not allowed; models allowed: {', '.join(MODELS)}")
    if unknown := [name for name in (*config.models, *config.changes_of) if name not in MODELS]:
        raise dg.Failure(f"models: {unknown[0]!r} is not allowed; allowed: {', '.join(MODELS)}")
    return [
        changed_settings(
            ForecastSettings(seed=seed), {**config.changes, **config.changes_of.get(name, {}), "model": name}, name
        )
        for name in dict.fromkeys(config.models)
        # Least squares knows no seed.
        for seed in dict.fromkeys(config.seeds if name != CONTROL else config.seeds[:1])
    ]


def model_key(settings: "ForecastSettings", version: str, venue: str, symbol: str, day: date, split: "Split") -> str:
    """What names a model: its settings, the rows that it learns from, and the code that trains."""
    from tracebank_models.forecasting.training import train

    told = (settings.hash, version, venue, symbol, str(day), str(split), code_version(train))
    return hashlib.sha256("|".join(told).encode()).hexdigest()[:16]


def model_folder(settings: Settings, model: str) -> Path:
    """Where a model's weights lie."""
    return settings.home / GROUP / model


def _shares(config: ModelsConfig) -> tuple[float, float, float]:
    return config.train, config.validation, max(0.0, 1 - config.train - config.validation)


def _purge(asked: "list[ForecastSettings]", ticks: int) -> int:
    """Rows between two parts of the day, so that no window or target of one reaches into the next."""
    longest = max(asked, key=lambda one: one.look_back + one.horizons[-1])
    rows = longest.look_back + longest.horizons[-1]
    if rows >= ticks:
        raise dg.Failure(
            f"look_back, horizons: {longest.look_back} ticks and {longest.horizons[-1]} more are not allowed; "
            f"allowed: fewer than the day's {ticks:,} ticks together"
        )
    return rows


def _work(settings: "ForecastSettings", split: "Split") -> int:
    each = min(len(split.train), settings.windows_per_epoch or len(split.train))
    return each * settings.epochs * len(settings.members)


def _trained(
    settings: Settings, key: str, asked: "ForecastSettings", ticks: "Ticks", split: "Split", advance: Any
) -> "TrainedForecaster":
    from tracebank_models.forecasting.forecaster import load
    from tracebank_models.forecasting.training import train

    folder = model_folder(settings, key)
    checkpoint = folder.with_name(f".{key}.checkpoint")
    if folder.is_dir():
        checkpoint.unlink(missing_ok=True)  # of a run that was killed between the two
        advance(_work(asked, split))
        return load(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    trained = train(asked, ticks, split, settings.device, advance, checkpoint)
    trained.save(folder)
    checkpoint.unlink(missing_ok=True)
    return trained


def _row(key: str, one: "TrainedForecaster", ticks: "Ticks", day: date, folder: Path, device: str) -> dict[str, Any]:
    from tracebank_models.forecasting.training import train

    told, chosen = one.settings, one.curves.filter("chosen")
    return {
        "model": key,
        "name": told.model,
        "venue": ticks.venue,
        "symbol": ticks.symbol,
        "day": day,
        "clock": ticks.clock,
        "price": told.price,
        "features": told.features,
        "horizons": list(told.horizons),
        "quantiles": list(told.said),
        "look_back": told.look_back,
        "seed": told.seed,
        "settings": dataclasses.asdict(told),
        "code_version": code_version(train),
        "parameters": sum(weight.numel() for weight in one.modules.parameters()),
        "windows": int(one.curves.group_by("horizon").agg(pl.col("windows").max())["windows"].sum()),
        "validation_loss": chosen["validation_loss"].mean(),
        "spike_rate": chosen["spike_rate"].mean(),
        "path": str(folder),
        "device": device,
        "seconds": float(one.curves["seconds"].sum()),
        "trained_at": datetime.now(UTC),
    }


def _split_rows(key: str, settings: "ForecastSettings", ticks: "Ticks", split: "Split") -> list[dict[str, Any]]:
    from tracebank_models.order_book_features.splits import window_ends

    furthest = settings.horizons[-1]
    return [
        {
            "model": key,
            "split": name,
            "first_row": rows[0],
            "last_row": rows[-1],
            "first_ts": moment(ticks.times[rows[0]]),
            "last_ts": moment(ticks.times[rows[-1]]),
            "windows": len(window_ends(ticks.segment, settings.look_back, furthest, rows)),
        }
        for name, rows in split._asdict().items()
        if len(rows)
    ]


def _by_step(one: "TrainedForecaster") -> pl.DataFrame:
    """Curves with a row for each epoch: means over models of one horizon each."""
    means = pl.exclude("horizon", "chosen", "epoch").mean()
    return one.curves.group_by(pl.col("epoch").alias("step"), maintain_order=True).agg(means)


def _figures(found: "list[TrainedForecaster]") -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for one in found:
        label = f"{one.settings.model}_{one.settings.seed}"
        losses = one.curves["validation_loss"].to_list()
        if losses[-1] is not None:
            figures[f"{label}_validation_loss"] = round(min(losses), 5)
            figures[f"{label}_validation_line"] = sparkline(losses)
    return figures


def _results(found: "list[TrainedForecaster]", split: "Split") -> list[dg.AssetCheckResult]:
    losses = pl.concat([one.curves.select("train_loss", "validation_loss") for one in found])
    finite = all(losses[name].drop_nulls().is_finite().all() for name in losses.columns)
    rates = [rate for one in found for rate in one.curves["spike_rate"].drop_nulls()]
    parts = [rows for rows in split if len(rows)]
    apart = all(first[-1] < second[0] for first, second in itertools.pairwise(parts))
    return [
        dg.AssetCheckResult(check_name=_NUMBERS, passed=finite),
        dg.AssetCheckResult(check_name=_SPIKES, passed=all(0 < rate < 1 for rate in rates), metadata={"rates": rates}),
        dg.AssetCheckResult(check_name=_APART, passed=apart),
    ]
