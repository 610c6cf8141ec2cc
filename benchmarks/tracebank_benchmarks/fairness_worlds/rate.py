"""Seconds of CPU for one configuration of each world, and for fifty runs of attention; one thread."""

from __future__ import annotations

import time

from threadpoolctl import threadpool_limits

from tracebank_models.fairness_mitigation.registry import MITIGATIONS
from tracebank_models.fairness_worlds.attention import AttentionWorld
from tracebank_models.fairness_worlds.attention_runs import inspect
from tracebank_models.fairness_worlds.retraining import Retraining
from tracebank_models.fairness_worlds.runs import run_world
from tracebank_models.fairness_worlds.worlds import WORLDS, make_world


def main(people: int = 10_000, periods: int = 200, runs: int = 50, steps: int = 1_000) -> None:
    """Print seconds, world by world.

    Args:
        people: Of each population.
        periods: Of each run, fitted again every tenth.
        runs: Of attention, side by side.
        steps: Of each of them.
    """
    with threadpool_limits(1):
        for name in WORLDS:
            for mitigation in ("none", "group_thresholds"):
                world = make_world(name, people, periods)
                began = time.process_time()
                kind = MITIGATIONS[mitigation]
                run_world(world, kind(break_even=world.break_even), Retraining(), 0, periods)
                _say(f"{name}, {mitigation}: {periods} periods of {people:,} people", began)
        began = time.process_time()
        inspect(AttentionWorld(runs, steps), "fair_greedy", Retraining(labels="window", every=1), 0, steps)
        _say(f"attention: {runs} runs of {steps:,} steps", began)


def _say(what: str, began: float) -> None:
    print(f"{what}: {time.process_time() - began:.2f} s of CPU")  # noqa: T201


if __name__ == "__main__":
    main()
