"""What is asked of a partition of runs: mitigations, schedules, their nulls, and parameters of the stress index."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import Field

from tracebank_models.fairness_worlds.names import WORLD_NAMES

if TYPE_CHECKING:
    from tracebank_models.fairness_worlds.retraining import Retraining
    from tracebank_models.fairness_worlds.stress import StressSettings

ATTENTION: Final = WORLD_NAMES[-1]
AS_THEY_ARE: Final = "as_they_are"
PERMUTED: Final = "permuted"
EQUAL: Final = "equal"


class RunsConfig(dg.Config):
    """Which runs a partition is of."""

    mitigations: list[str] = Field(default=[], description="Names; empty: all. Of attention: ways to place units.")
    labels: list[str] = Field(default=["accepted"], description="What models are fitted to again.")
    every: list[int] = Field(default=[10, 0], description="Periods from fit to fit; 0: fitted once.")
    nulls: bool = Field(default=True, description="Run with permuted groups, and with equal ones, beside.")
    people: int = Field(default=10_000, ge=1, description="Of a population.")
    periods: int = Field(default=200, ge=1, description="After which a run ends.")
    panel: int = Field(default=100, ge=1, description="People who are followed.")
    retraining: dict[str, Any] = Field(default={}, description="More of `Retraining`: burn_in, window, explored, ...")
    stress: dict[str, float] = Field(default={}, description="Of `StressSettings`; feedback is 0 for an index alone.")


@dataclass(frozen=True)
class Asked:
    """One run of a partition."""

    mitigation: str
    groups: str
    retraining: "Retraining"


def asked_of(config: RunsConfig, world: str) -> list[Asked]:
    """Runs that a config asks for, in order.

    Raises:
        ValueError: A name or a setting is not allowed.
    """
    from tracebank_models.checked_settings import converted
    from tracebank_models.fairness_worlds.retraining import Retraining

    found = []
    for labels in config.labels:
        for every in config.every:
            asked = {**config.retraining, "labels": labels, "every": every}
            how = converted(asked, Retraining, "retraining")
            found += [Asked(name, groups, how) for name, groups in _named(config, world)]
    return found


def stress_of(config: RunsConfig) -> "StressSettings":
    """Parameters of the index.

    Raises:
        ValueError: One is not known or not allowed.
    """
    from tracebank_models.checked_settings import changed_settings
    from tracebank_models.fairness_worlds.stress import UNCALIBRATED

    return changed_settings(UNCALIBRATED, config.stress, "stress")


def _named(config: RunsConfig, world: str) -> Iterator[tuple[str, str]]:
    from tracebank_models.fairness_mitigation.registry import MITIGATIONS
    from tracebank_models.fairness_worlds.allocators import ALLOCATORS

    known = ALLOCATORS if world == ATTENTION else tuple(MITIGATIONS)
    for name in config.mitigations or known:
        if name not in known:
            raise ValueError(f"mitigations: {name!r} is not allowed; allowed in {world}: {', '.join(known)}")
        yield name, AS_THEY_ARE
        if config.nulls and name not in (known[0], "uniform", "proportional", "exploration", "credit_floor"):
            yield name, PERMUTED
        if config.nulls and name == known[0]:
            yield name, EQUAL
