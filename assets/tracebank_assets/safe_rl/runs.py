"""Asset `safe_rl/runs`: policies trained in one environment from one seed, by every mode that is asked for."""

import dataclasses
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import dagster as dg
import polars as pl
from pydantic import Field
from sqlalchemy import select

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank.stores.relational import RelationalStore
from tracebank_assets.artifacts import artifact
from tracebank_assets.code_version import code_version
from tracebank_assets.devices import prepared_device
from tracebank_assets.language_models.curves import long_curve
from tracebank_assets.materialised import Figure, Materialised, materialised
from tracebank_assets.safe_rl.keys import GROUP, PARTITIONS
from tracebank_assets.sparklines import sparkline
from tracebank_assets.studies import on_gpu
from tracebank_schemas.language_model import TRAINING_CURVES
from tracebank_schemas.reinforcement_learning import ROLLOUT_STEPS, RLConstraint, RLEvaluation, RLRun

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebank_models.reinforcement_learning.rollout import Rollout
    from tracebank_models.system3.run import Run
    from tracebank_models.system3.settings import RunSettings

_FELL: Final = "violations_fell"
_NUMBERS: Final = "figures_are_numbers"
CHECKS: Final = {
    _FELL: "Of every policy that learns, the last fifth of its training broke the knowledge less often than the first.",
    _NUMBERS: "Returns, costs and losses are finite.",
}
MODES: Final = [
    "reward",
    "multiplied",
    "deficit",
    "penalty",
    "lagrangian_soft",
    "ppo_lagrangian",
    "cost_penalty",
    "cpo",
]
OWN: Final = "own"
"""What is known where nobody says otherwise: the environment's own."""
STILL: Final = ["random", "do_nothing"]
"""What does not learn, and stands beside."""


class RunsConfig(dg.Config):
    """What is trained, and how."""

    modes: list[str] = Field(default=[*MODES, *STILL], description="How knowledge enters, or which baseline.")
    formulas: list[str] = Field(default=[], description="What is known; empty: what the environment knows.")
    margin: float = Field(default=0.1, gt=0, description="Of these formulas, in the unit of their distances.")
    p: float = Field(default=2.0, ge=1, description="Of the norm that joins constraints, and of these formulas.")
    weight: float | None = Field(
        default=None, ge=0, description="Of what is lacking, or the price of a cost; empty: the environment's."
    )
    predictor: bool = Field(default=False, description="Show critics predicted next states.")
    shuffled: bool = Field(default=False, description="The control: the satisfaction of other steps.")
    learner: dict[str, Any] = Field(default={}, description="Changes to how the environment's policies learn.")
    episodes: int = Field(default=20, ge=1, description="Of evaluation.")
    steps_of: Literal["training", "evaluation", "nothing"] = Field(
        default="training", description="Whose steps are kept as rows."
    )


@artifact(
    GROUP,
    RLRun,
    RLConstraint,
    RLEvaluation,
    ROLLOUT_STEPS,
    TRAINING_CURVES,
    checks=CHECKS,
    not_empty=True,
    partitions_def=PARTITIONS,
    **on_gpu(),
    kinds={"torch"},
)
def runs(context: dg.AssetExecutionContext, config: RunsConfig, stores: Stores) -> dg.MaterializeResult:
    """Policies of one environment and seed, one for each mode: what they cost while they learned, and afterwards.

    Modes that are not asked for stand as they are.
    """
    from tracebank_models.system3.run import run

    asked = settings_of(context.partition_key, config)
    device = prepared_device(stores.settings, threads=1)
    with materialised(context, stores) as made:
        made.device = str(device)
        found = []
        with track(f"policies of {context.partition_key}", sum(one.rule.steps for one in asked)) as advance:
            for one in asked:
                keep = training_rows(made, one) if config.steps_of == "training" else None
                found.append(run(one, device, advance, keep))
                if config.steps_of == "evaluation":
                    _keep_evaluation(made, found[-1])
        _write(made, found)
    return made.result(_figures(found), _results(found))


def settings_of(partition: str, config: RunsConfig) -> "list[RunSettings]":
    """Settings of the runs of a partition, one for each mode.

    Raises:
        ValueError: A setting is out of range, a mode unknown, or a formula cannot be read; one line.
    """
    from tracebank_models.checked_settings import changed_settings
    from tracebank_models.system3.learners import LEARNERS, WEIGHTS
    from tracebank_models.system3.settings import MODES as KNOWN
    from tracebank_models.system3.settings import RunSettings

    environment, seed = partition.rsplit("/", 1)
    if not config.modes:
        raise dg.Failure(f"modes: none is not allowed; allowed: {', '.join(KNOWN)}")
    learner = changed_settings(LEARNERS[environment], config.learner, "learner")
    made = []
    for mode in dict.fromkeys(config.modes):
        learns = mode not in STILL
        made.append(
            RunSettings(
                environment,
                mode,
                int(seed),
                learner,
                tuple(config.formulas),
                p=config.p,
                margin=config.margin,
                weight=WEIGHTS[environment] if config.weight is None else config.weight,
                predictor=config.predictor and learns,
                shuffled=config.shuffled and learns,
                evaluation_episodes=config.episodes,
            )
        )
    return made


def training_rows(made: Materialised, settings: "RunSettings") -> "Callable[[Rollout], None]":
    """What takes rollouts of a training as they come, and makes rows of them."""
    from tracebank_models.rollouts.columns import Numbering, step_frame
    from tracebank_models.rollouts.recording import columns_of

    rows = made.into(ROLLOUT_STEPS, {"run": settings.hash})
    numbering, taken, size = Numbering(settings.rule.environments), [0], settings.rule.steps

    def keep(rollout: "Rollout") -> None:
        taken[0] += rollout.size
        rows.write(step_frame(columns_of(rollout), settings.hash, numbering, is_last=taken[0] >= size))

    return keep


def _keep_evaluation(made: Materialised, done: "Run") -> None:
    """Rows of the longest episode that an environment has, by the policy as it was evaluated."""
    import numpy as np

    from tracebank_models.reinforcement_learning.environments import make
    from tracebank_models.reinforcement_learning.evaluation import CHOOSERS
    from tracebank_models.rollouts.recording import rollout_frames
    from tracebank_models.system3.run import EVALUATION_SEED

    environment = make(done.settings.environment, 4)
    policy, chance = done.policy, np.random.default_rng(EVALUATION_SEED)
    rows = made.into(ROLLOUT_STEPS, {"run": done.settings.hash})

    def chosen(seen: Any) -> Any:
        return CHOOSERS[policy](seen, environment, chance) if isinstance(policy, str) else policy.act(seen)

    for frame in rollout_frames(
        environment, chosen, environment.max_episode_steps, run=done.settings.hash, seed=EVALUATION_SEED,
        knowledge=done.knowledge,
    ):  # fmt: skip
        rows.write(frame)


def _write(made: Materialised, found: "list[Run]") -> None:
    from tracebank_models.system3.comparison import run_rows
    from tracebank_models.system3.run import run

    keys = [one.settings.hash for one in found]
    version, now = code_version(run), datetime.now(UTC)
    rows = []
    for row, one in zip(run_rows(found).rename({"hash": "run"}).to_dicts(), found, strict=True):
        how = {"settings": dataclasses.asdict(one.settings), "code_version": version, "trained_at": now}
        how["knowledge"] = "; ".join(one.settings.formulas) or OWN
        rows.append({**row, **how, "threshold": one.threshold, **_learned(one)})
    made.into(RLRun, RLRun.run.in_(keys)).write(rows)
    made.into(RLConstraint, RLConstraint.run.in_(keys)).write([row for one in found for row in _constraints(one)])
    episodes = pl.concat([one.evaluation.with_columns(run=pl.lit(one.settings.hash)) for one in found])
    made.into(RLEvaluation, RLEvaluation.run.in_(keys)).write(episodes)
    for one in found:
        if one.curves.height:
            key, told = one.settings.hash, one.settings
            curve = long_curve(
                one.curves, run=key, method=told.label, name=f"{told.environment}/{told.label}", seed=told.seed
            )
            made.into(TRAINING_CURVES, {"run": key}).write(curve)


def _learned(one: "Run") -> dict[str, Any]:
    if not one.curves.height:
        return {"gradient_steps": None, "prediction_error": None}
    errors = one.curves["prediction_error"].drop_nulls()
    return {
        "gradient_steps": int(one.curves["gradient_steps"].sum()),
        "prediction_error": errors[-1] if len(errors) else None,
    }


def _constraints(one: "Run") -> list[dict[str, Any]]:
    return [
        {
            "run": one.settings.hash,
            "place": place,
            "text": known.text,
            "p": None if math.isinf(known.p) else known.p,
            "margin": known.margin,
            "shape": known.shape,
            "connectives": known.connectives,
            "training_violations": int(one.curves[f"violations_{place}"].sum()) if one.curves.height else None,
        }
        for place, known in enumerate(one.knowledge)
    ]


def _figures(found: "list[Run]") -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for one in found:
        label = one.settings.label
        figures[f"{label}_return"] = round(float(one.evaluation["episode_return"].mean() or 0), 2)  # type: ignore[arg-type]
        if one.curves.height:
            figures[f"{label}_violations"] = int(one.curves["violations"].sum())
            figures[f"{label}_return_line"] = sparkline(one.curves["episode_return"].to_list())
            figures[f"{label}_violations_line"] = sparkline(one.curves["violations_per_1000"].to_list())
    return figures


def _results(found: "list[Run]") -> list[dg.AssetCheckResult]:
    rose, broken = {}, []
    for one in found:
        numbers = [one.evaluation["episode_return"], one.evaluation["cost"]]
        if one.curves.height:
            rates = one.curves["violations_per_1000"]
            part = max(1, len(rates) // 5)
            first, last = float(rates.head(part).mean()), float(rates.tail(part).mean())  # type: ignore[arg-type]
            if last >= first and first + last > 0:
                rose[one.settings.label] = round(last - first, 3)
            numbers += [one.curves["policy_loss"], one.curves["value_loss"]]
        if not all(column.is_finite().all() for column in numbers):
            broken.append(one.settings.label)
    warn = dg.AssetCheckSeverity.WARN
    return [
        dg.AssetCheckResult(check_name=_FELL, passed=not rose, severity=warn, metadata={"rose_per_1000": rose}),
        dg.AssetCheckResult(check_name=_NUMBERS, passed=not broken, metadata={"modes": broken}),
    ]


def stored_runs(relational: RelationalStore) -> pl.DataFrame:
    """Runs as `compared` takes them: all that stand.

    Raises:
        dg.Failure: there is none.
    """
    columns = [column for column in RLRun.__table__.columns if column.name not in ("settings", "trained_at")]
    with relational.reading() as session:
        rows = [
            tuple(row)
            for row in session.execute(select(*columns).order_by(RLRun.environment, RLRun.seed, RLRun.trained_at))
        ]
    if not rows:
        raise dg.Failure("no policy was trained; materialise safe_rl/runs first")
    return pl.DataFrame(rows, schema=[column.name for column in columns], orient="row", infer_schema_length=None)
