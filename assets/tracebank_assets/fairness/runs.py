"""Asset `fairness/runs`: worlds run under mitigations and schedules, every group in every period kept."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import dagster as dg
import msgspec
import polars as pl

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank_assets.artifacts import artifact
from tracebank_assets.code_version import code_version
from tracebank_assets.fairness.configs import (
    AS_THEY_ARE,
    ATTENTION,
    EQUAL,
    PERMUTED,
    Asked,
    RunsConfig,
    asked_of,
)
from tracebank_assets.fairness.keys import GROUP, WORLD_BY_SEED
from tracebank_assets.materialised import Figure, materialised
from tracebank_assets.sparklines import sparkline
from tracebank_schemas.fairness import FAIRNESS_PEOPLE, FAIRNESS_PERIODS, FairnessRun
from tracebank_schemas.series import SeriesTable

_FINITE: Final = "no_nan"
_RATES: Final = "rates_are_shares"
_OF_RUN: Final = ("run", "world", "seed", "mitigation", "groups", "labels", "every")
CHECKS: Final = {
    _FINITE: "No figure is NaN or infinite: what is not defined is null, and then nobody is there whom it is of.",
    _RATES: "Rates, legitimacy, unrest and stress lie from 0 to 1.",
}


@artifact(
    GROUP,
    FAIRNESS_PERIODS,
    FAIRNESS_PEOPLE,
    FairnessRun,
    checks=CHECKS,
    not_empty=True,
    partitions_def=WORLD_BY_SEED,
    kinds={"numpy"},
)
def runs(context: dg.AssetExecutionContext, config: RunsConfig, stores: Stores) -> dg.MaterializeResult:
    """A world and seed under every mitigation and schedule: the same people with the same luck in all of them."""
    world, seed = (context.partition_key.keys_by_dimension[name] for name in ("world", "seed"))
    try:
        asked = asked_of(config, world)
    except ValueError as error:
        raise dg.Failure(str(error)) from None
    mine = {"world": world, "seed": int(seed)}
    frames, written = [], []
    with materialised(context, stores) as made:
        periods, people = made.into(FAIRNESS_PERIODS, mine), made.into(FAIRNESS_PEOPLE, mine)
        rows = made.into(FairnessRun, mine)
        with track(f"{world}, seed {seed}", len(asked) * config.periods) as advance:
            for one in asked:
                try:
                    found = _run(one, world, int(seed), config, advance)
                except ValueError as error:
                    raise dg.Failure(f"{one.mitigation}: {error}") from None
                row = _row(one, world, int(seed), config, found.summary)
                frames.append(_of_table(FAIRNESS_PERIODS, found.periods, row))
                periods.write(frames[-1])
                people.write(_of_table(FAIRNESS_PEOPLE, found.panel, row))
                rows.write([row])
                written.append(row)
    stored = pl.concat(frames)
    return made.result(_figures(stored, written), _results(stored))


def _run(one: Asked, world: str, seed: int, config: RunsConfig, advance: Any) -> Any:
    from tracebank_models.fairness_mitigation.registry import MITIGATIONS
    from tracebank_models.fairness_worlds.attention import AttentionWorld
    from tracebank_models.fairness_worlds.attention_runs import run_attention
    from tracebank_models.fairness_worlds.permuted import PermutedGroups
    from tracebank_models.fairness_worlds.runs import run_world
    from tracebank_models.fairness_worlds.worlds import make_world

    equal, permuted = one.groups == EQUAL, one.groups == PERMUTED
    how = {"stress": one.stress, "progress": advance}
    if world == ATTENTION:
        sites = AttentionWorld(1, equal=equal)
        return run_attention(sites, one.mitigation, one.retraining, seed, config.periods, permuted=permuted, **how)
    made = make_world(world, config.people, config.periods, equal=equal)
    mitigation: Any = MITIGATIONS[one.mitigation](break_even=made.break_even)
    if permuted:
        mitigation = PermutedGroups(mitigation, seed)
    return run_world(made, mitigation, one.retraining, seed, config.periods, panel=config.panel, **how)


def _row(one: Asked, world: str, seed: int, config: RunsConfig, summary: dict[str, float]) -> dict[str, Any]:
    """The row of a run; its key is a hash of all that the run is made with."""
    from tracebank_models.fairness_mitigation.registry import MITIGATIONS
    from tracebank_models.fairness_worlds.runs import run_world

    facts = MITIGATIONS[one.mitigation].facts if one.mitigation in MITIGATIONS else None
    made_with = {
        "world": world,
        "seed": seed,
        "mitigation": one.mitigation,
        "groups": one.groups,
        "labels": one.retraining.labels,
        "every": one.retraining.every,
        "people": 0 if world == ATTENTION else config.people,
        "periods": config.periods,
        "feedback": one.stress.feedback,
        "settings": {"stress": asdict(one.stress), "retraining": asdict(one.retraining)},
        "code_version": code_version(run_world),
    }
    key = sha256(msgspec.json.encode(made_with, order="sorted")).hexdigest()[:16]
    known = {name: value for name, value in summary.items() if value == value}
    place = {
        "place": facts.place if facts else "system",
        "uses_group": facts.uses_group_at_prediction if facts else True,
    }
    return {"run": key, **made_with, **place, "figures": known}


def _of_table(table: SeriesTable, frame: pl.DataFrame, row: dict[str, Any]) -> pl.DataFrame:
    """Rows of a run as a table has them."""
    told = {name: row[name] for name in _OF_RUN} | {"ts": datetime.now(UTC)}
    if frame.is_empty():  # sites have no people
        return pl.DataFrame(schema=table.polars_schema)
    columns = [
        (pl.lit(told[name]) if name in told else pl.col(name)).cast(kind).alias(name)
        for name, kind in table.polars_schema.items()
    ]
    return frame.select(columns)


def _sure(figures: dict[str, float]) -> str:
    """The last equalised-odds gap with its interval over people."""
    if "last_odds_gap_low" not in figures:
        return ""
    ends = (figures[name] for name in ("last_odds_gap", "last_odds_gap_low", "last_odds_gap_high"))
    return "{:.3f} ({:.3f} to {:.3f})".format(*ends)


def _figures(stored: pl.DataFrame, rows: list[dict[str, Any]]) -> dict[str, Figure]:
    once = stored.unique(["run", "period"], keep="first", maintain_order=True)
    lines: Iterator[str] = (
        f"| {row['mitigation']} | {row['groups']} | {row['labels']} | {row['every']} | {row['feedback']:g} |"
        f" {sparkline(run['opportunity_gap'].to_list())} | {sparkline(run['stress'].to_list())} |"
        f" {_sure(row['figures'])} |"
        for row, (_, run) in zip(rows, once.group_by("run", maintain_order=True), strict=True)
    )
    head = (
        "| mitigation | groups | labels | fitted every | feedback | opportunity gap | stress | last odds gap |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    plain = stored.filter(pl.col("groups") == AS_THEY_ARE)
    return {
        "runs": stored["run"].n_unique(),
        "mean_opportunity_gap": round(float(plain["opportunity_gap"].mean() or 0.0), 4),  # type: ignore[arg-type]
        "gaps": dg.MetadataValue.md(head + "\n".join(lines)),
    }


def _results(stored: pl.DataFrame) -> list[dg.AssetCheckResult]:
    floats = stored.select(pl.selectors.float())
    broken = floats.select(pl.all().is_nan().sum() + pl.all().is_infinite().sum()).row(0, named=True)
    shares = ("selection_rate", "true_positive_rate", "false_positive_rate", "legitimacy", "unrest", "stress")
    outside = {name: stored.filter(~pl.col(name).is_between(0, 1)).height for name in shares}
    return [
        dg.AssetCheckResult(
            check_name=name,
            passed=not any(counts.values()),
            metadata={"rows": {column: int(count) for column, count in counts.items() if count}},
        )
        for name, counts in ((_FINITE, broken), (_RATES, outside))
    ]
