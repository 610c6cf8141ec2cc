"""A few rows of every table that views of results read, added to the small store: hostile names, and what is null."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from tests.explorer.small_store import CODES, SCRIPT, TINY_0
from tests.filled import filled

from tracebank.stores.relational import RelationalStore
from tracebank_schemas.benchmarks import BenchmarkEnvironment, BenchmarkResult, BenchmarkRun
from tracebank_schemas.evaluation import EvalRun, EvalSummary
from tracebank_schemas.explorer import Curve
from tracebank_schemas.fairness import FairnessDifference, FairnessRun, FairnessSummary
from tracebank_schemas.forecasting import Backtest, ForecastModel, ForecastScore
from tracebank_schemas.identifier_swaps import SwapTrend
from tracebank_schemas.ingest import IngestCount, IngestFile, SequenceGap
from tracebank_schemas.language_model import PolicyEvaluation
from tracebank_schemas.model_editing import EditLayer
from tracebank_schemas.quality import QualityMeasure
from tracebank_schemas.reinforcement_learning import RLComparison, RLConstraint, RLRun
from tracebank_schemas.relational import Base
from tracebank_schemas.reward_probe import Ablation, Probe, ProbeDifference, ProbeMetric
from tracebank_schemas.sparse_autoencoder import DictionaryMetric, DictionarySimilarity

STUDY: Final = "o'br\\ien; -- " + SCRIPT
"""A name that would end a string of SQL, begin a code in one, and be a script in a page."""
POLICY, STRATEGY, MODEL = "policy-1", "strategy-1", "model-1"
TIME: Final = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY: Final = date(2024, 8, 8)


def fill_results(relational: RelationalStore) -> None:
    """Put everything in, what is referred to first."""
    with relational.session() as session:
        for model, rows in _ROWS:
            session.add_all(model(**filled(model, **row)) for row in rows)
            session.flush()


def _results() -> list[dict[str, Any]]:
    """R1: engine a is fastest; R2: nobody is; R3: one of two is wrong."""
    times = {
        ("R1", "a"): (1.0, 0.9, 1.1), ("R1", "b"): (2.0, 1.8, 2.2), ("R2", "a"): (1.0, 0.5, 1.5),
        ("R2", "b"): (1.2, 1.0, 1.4), ("R3", "a"): (1.0, None, None),
    }  # fmt: skip
    found = []
    for run in ("20260101-1", "20260201-1"):
        for (workload, engine), (seconds, low, high) in times.items():
            figures = {"median_seconds": seconds, "low_seconds": low, "high_seconds": high, "status": "verified"}
            found.append({"run_id": run, "engine": engine, "lane": "paper", "workload": workload, **figures})
        wrong = {"status": "wrong_answer", "reason": SCRIPT}
        found.append({"run_id": run, "engine": "b", "lane": "paper", "workload": "R3", **wrong})
    return found


def _lines(subject: str, run: str, *lines: str, unit: str = "step") -> list[dict[str, Any]]:
    xs = [0.0, 1.0, 2.0]
    return [
        {"subject": subject, "run": run, "line": line, "position": place, "x_unit": unit, "xs": xs,
         "ys": [1.0, None, 0.5], "lows": [], "highs": [], "told": "episode 3", "rows": 3, "data_version": "data-1"}
        for place, line in enumerate(lines)
    ]  # fmt: skip


_PROBE: Final = {"study": STUDY, "task": "reward", "number": 0, "seed": 0}
_INTERVAL: Final = {"value": 0.5, "low": 0.4, "high": 0.6}
_SCORE: Final = {"day": DAY, "price": "mid", "metric": "r2"}
_BACKTEST: Final = {"strategy": STRATEGY, "model": MODEL, "symbol": "SYNBTC", "day": DAY, "settings": {}}
_WORLD: Final = {"world": "lending_7", "groups": "as_they_are", "labels": "accepted", "measure": "stress"}
_ROWS: Final[tuple[tuple[type[Base], list[dict[str, Any]]], ...]] = (
    (BenchmarkEnvironment, [{"environment": "here"}]),
    (
        BenchmarkRun,
        [{"run_id": f"2026{n:02}01-1", "environment": "here", "started_at": TIME + timedelta(n)} for n in (1, 2)],
    ),
    (BenchmarkResult, _results()),
    (
        EvalRun,
        [
            {"run": "edit-1", "evaluation": "model_editing", "model": "tiny", "method": "rome", "started_at": TIME},
            {"run": "swap-1", "evaluation": "identifier_swaps", "model": "tiny", "method": "", "started_at": TIME},
        ],
    ),
    (
        EvalSummary,
        [
            {"run": "edit-1", "part": "after_edit", "metric": "ES", **_INTERVAL, "unedited": 0.1, "clusters": 9},
            {"run": "edit-1", "part": "unedited", "metric": "ES", "value": 0.1, "clusters": 3},
            {"run": "swap-1", "part": "swap", "metric": "loss", **_INTERVAL},
            {"run": "swap-1", "part": "no_swap", "metric": "loss", "value": 0.3},
            {"run": "swap-1", "part": "swap", "metric": "correct", **_INTERVAL},
        ],
    ),
    (EditLayer, [{"model": "tiny", "layer": layer, "loss": 1.0 / (layer + 1)} for layer in (0, 1)]),
    (
        SwapTrend,
        [
            {"ladder": "code", "condition": "swap", "statistic": "kendall", "reason": "2 models"},
            {"ladder": "code", "condition": "swap", "statistic": "pearson", **_INTERVAL},
        ],
    ),
    (
        Probe,
        [
            {"probe": "p/base", "model": "tiny", "kind": "ridge", "representation": "codes", **_PROBE},
            {"probe": "p/tuned", "model": "org/tuned", "kind": "ridge", "representation": "codes", **_PROBE},
            {"probe": "p/null", "model": "tiny", "kind": "shuffled", "representation": "codes", **_PROBE},
        ],
    ),
    (ProbeMetric, [{"probe": f"p/{n}", "metric": "kendall_tau", **_INTERVAL} for n in ("base", "tuned", "null")]),
    (ProbeDifference, [{"probe": "p/tuned", "less": "p/base", "metric": "kendall_tau", **_INTERVAL}]),
    (
        Ablation,
        [
            {"study": STUDY, "condition": "features", "draw": 0, "effect": -0.2, "rank_p": 0.01},
            *({"study": STUDY, "condition": "random_features", "draw": n, "effect": n / 10} for n in range(3)),
        ],
    ),
    (
        DictionaryMetric,
        [
            {"dictionary": CODES, "metric": name, "init_seed": 1, "value": value}
            for name, value in (("l0", 4.0), ("fvu", 0.2))
        ],
    ),
    (DictionarySimilarity, [{"dictionary": CODES, "other": TINY_0, "comparison": "seed", "mmcs": 0.4, "chance": 0.3}]),
    (
        PolicyEvaluation,
        [{"model": "org/tuned", "study": STUDY, "asset": "tuned", "split": "report", "step": n} for n in (0, 8)],
    ),
    (
        RLRun,
        [
            {"run": POLICY, "environment": "CartPole-v1", "mode": "reward", "steps": 1000, "settings": {}},
            {"run": "policy-2", "environment": "CartPole-v1", "mode": "random", "settings": {}},
        ],
    ),
    (
        RLConstraint,
        [{"run": POLICY, "place": 0, "text": "abs(angle) <= 0.2095 rad", "p": 2.0, "training_violations": 5}],
    ),
    (
        RLComparison,
        [
            {"environment": "CartPole-v1", "knowledge": "own", "mode": mode, "metric": metric, "iqm": 1.0, "seeds": 1}
            for mode, metric in (
                ("reward", "episode_return"),
                ("reward", "violations_per_1000"),
                ("random", "episode_return"),
            )
        ],
    ),
    (FairnessRun, [{"run": "w1", "world": "lending_7", "mitigation": "none", "settings": {}, "figures": {}}]),
    (
        FairnessDifference,
        [{**_WORLD, "factor": "mitigation", "mitigation": "reweighing", "statistic": "mean", "value": 0.1}],
    ),
    (FairnessSummary, [{**_WORLD, "mitigation": "none", "statistic": "mean", "value": 0.2, "reason": "1 seeds"}]),
    (ForecastModel, [{"model": MODEL, "name": "dlinear", "symbol": "SYNBTC", "day": DAY, "horizons": [1, 10]}]),
    (ForecastScore, [{**_SCORE, "model": MODEL, "horizon": horizon, **_INTERVAL} for horizon in (1, 10)]),
    (
        Backtest,
        [
            {**_BACKTEST, "backtest": STRATEGY if kind == "strategy" else f"{kind}-1", "kind": kind, "pnl_net": net}
            for kind, net in (("strategy", 3.0), ("nothing", 0.0), ("holding", 1.0), ("random", -1.0))
        ],
    ),
    (IngestFile, [{"sha256": "file", "path": "raw/file", "ignored": {}}]),
    (
        IngestCount,
        [{"sha256": "file", "venue": "v", "symbol": "SYNBTC", "day": DAY, "table_name": "trades", "stored": 12}],
    ),
    (
        SequenceGap,
        [{"sha256": "file", "venue": "v", "symbol": "SYNBTC", "day": DAY, "got_seq": 9, "expected_seq": 5, "ts": TIME}],
    ),
    (QualityMeasure, [{"asset_key": "market/quality", "partition": "2024-08-08|SYNBTC", "check_name": "crossed"}]),
    (
        Curve,
        [
            *_lines("fairness_periods", "lending_7/stress/as_they_are/accepted/0", "none, fitted once", unit="period"),
            *_lines("backtest_equity", STRATEGY, "strategy", "holding", unit="UTC"),
            *_lines("forecasts", f"{MODEL}/SYNBTC/2024-08-08", "forecast, 1 tick ahead", unit="UTC"),
            *_lines("bars", "v/SYNBTC/2024-08-08/60 s", "close", "volume", unit="UTC"),
            *_lines("training_curves", POLICY, "episode_return"),
            *_lines(
                "rollout_steps", POLICY, "position", "angle", "reward", "cost", "satisfied: abs(angle) <= 0.2095 rad"
            ),
        ],
    ),
)
