"""How many steps of the goal tasks pass per CPU-second, with lidars, costs, true states and resets.

Actions are drawn before the clock starts; all else of a step counts. What the environments' knowledge takes to evaluate
at every step stands beside. Run it with `python -m tracebank_benchmarks.navigation.rate`; it uses one core. The bar is
1,000,000 steps a CPU-second of every task at 1,024 environments. safety-gymnasium, which does not install on Python
3.11, was measured at 525 (PointGoal1), 441 (CarGoal1) and 258 (CarGoal2) steps a second.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Final

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from tracebank_models.navigation.environments import CarGoal1, CarGoal2, Navigation, PointGoal1, PointGoal2

BAR: Final = 1_000_000
"""Steps a CPU-second."""
KINDS: Final = (PointGoal1, PointGoal2, CarGoal1, CarGoal2)


@dataclass(frozen=True, slots=True)
class Rate:
    """One task."""

    task: str
    environments: int
    steps: int
    steps_per_cpu_second: float
    """Median of the rounds."""
    knowledge_share: float
    """CPU time of evaluating the knowledge at every step, by that of the steps."""


def measure(kind: type[Navigation], environments: int, steps: int, rounds: int) -> Rate:
    """Step one task; the first steps, which compile, do not count."""
    worlds = kind(environments)
    worlds.reset(seed=0)
    chance = np.random.default_rng(0)
    actions = chance.uniform(-1, 1, (16, environments, 2)).astype(np.float32)
    worlds.step(actions[0])
    worlds.reset(seed=0)
    stepped, evaluated = [], []
    for _ in range(rounds):
        start, states = time.process_time(), []
        for step in range(steps):
            infos = worlds.step(actions[step % len(actions)])[4]
            if step % 16 == 0:
                states.append(infos["state"])
        stepped.append(time.process_time() - start)
        start = time.process_time()
        for state in states:
            worlds.knowledge.evaluate(state)
        evaluated.append((time.process_time() - start) * steps / len(states))
    middle = statistics.median(stepped)
    share = statistics.median(evaluated) / middle
    return Rate(kind.__name__, environments, steps * environments, steps * environments / middle, share)


def table(rates: Sequence[Rate]) -> Table:
    """The rates, for a terminal."""
    shown = Table("task", "environments", "steps", "steps/CPU s", "knowledge", box=None)
    for rate in rates:
        numbers = f"{rate.environments:,}", f"{rate.steps:,}", f"{rate.steps_per_cpu_second:,.0f}"
        shown.add_row(rate.task, *numbers, f"{rate.knowledge_share:.0%}")
    return shown


def main(
    environments: Annotated[int, typer.Option(min=1, help="How many step together.")] = 1024,
    steps: Annotated[int, typer.Option(min=1, help="Of each environment and round.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="Times each task is measured.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the goal tasks."""
    rates = [measure(kind, environments, steps, rounds) for kind in KINDS]
    if as_json:
        print(json.dumps([asdict(rate) for rate in rates]))  # noqa: T201
    else:
        Console().print(table(rates))
    if slow := [rate.task for rate in rates if rate.steps_per_cpu_second < BAR]:
        raise SystemExit(f"below {BAR:,} steps a CPU-second: {', '.join(slow)}")


if __name__ == "__main__":
    typer.run(main)
