"""Settings of a run: one environment, one mode, one seed; and what each mode's name stands for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tracebank_models.checked_settings import check_settings, require, settings_hash
from tracebank_models.constraint_logic.connectives import Family
from tracebank_models.constraint_logic.constraints import Knowledge, parse
from tracebank_models.constraint_logic.evaluation import Shape
from tracebank_models.constraint_logic.vocabulary import Vocabulary
from tracebank_models.reinforcement_learning.evaluation import CHOOSERS
from tracebank_models.reinforcement_learning.objectives import (
    CostPenalty,
    Lagrangian,
    Objective,
    PIDLagrangian,
    Reward,
)
from tracebank_models.reinforcement_learning.training import Above0, NotNegative, Positive, PPOSettings, Rule

from .modes import Deficit, Joining, KnownLagrangian, Multiplied, Penalty, Released


@dataclass(frozen=True, slots=True)
class RunSettings:
    """One policy, trained and evaluated.

    Raises:
        ValueError: A field is out of range; the line names it, its value and what is allowed.
    """

    environment: str = "CartPole-v1"
    mode: str = "deficit"
    """Of `MODES`."""
    seed: int = 0
    learner: PPOSettings = field(default_factory=PPOSettings)
    """Its limit on costs is that of every Lagrangian too; a mode with a rule of its own takes no other."""
    formulas: tuple[str, ...] = ()
    """What is known; none: what the environment knows."""
    p: float = 2.0
    """Of the norm that joins constraints, and of `formulas`; from 1."""
    margin: Above0 = 0.1
    """Of `formulas`, in the unit of their distances."""
    shape: Shape = "linear"
    """Of `formulas`."""
    connectives: Family = "yager"
    predictor: bool = False
    """Whether critics see predicted next states."""
    predicted_satisfaction: bool = False
    """Whether satisfaction is that of the predicted next state, and not of the true one."""
    shuffled: bool = False
    """The control: satisfaction of other steps."""
    weight: NotNegative = 1.0
    """Of what is not satisfied, of `penalty`; price of a cost, of `cost_penalty`."""
    price_rate: Above0 = 0.035
    """By which a Lagrangian's price rises."""
    evaluation_episodes: Positive = 20

    def __post_init__(self) -> None:
        """Check every field."""
        check_settings(self)
        require(self, "mode", ", ".join(MODES), self.mode in MODES)
        require(self, "p", "a number from 1, or infinity", self.p >= 1)
        require(
            self, "predicted_satisfaction", "true with a predictor", self.predictor or not self.predicted_satisfaction
        )
        rule, own = self.learner.rule, MODES[self.mode].rule
        if rule not in ("ppo", own) and own is not None:
            raise ValueError(f"RunSettings.learner.rule: {rule!r} is not allowed; allowed with {self.mode!r}: {own}")

    @property
    def hash(self) -> str:
        """Of every setting."""
        return settings_hash(self)

    @property
    def label(self) -> str:
        """The mode, and what it was switched to."""
        switches = ("predictor", "predicted_satisfaction", "shuffled")
        rule = [self.learner.rule] if MODES[self.mode].rule is None and self.learner.rule != "ppo" else []
        return "+".join([self.mode, *rule, *(name for name in switches if getattr(self, name))])

    @property
    def rule(self) -> PPOSettings:
        """How the learner learns in this mode."""
        own = MODES[self.mode].rule
        return self.learner if own is None else dataclasses.replace(self.learner, rule=own)

    def knowledge(self, vocabulary: Vocabulary, own: Knowledge) -> Knowledge:
        """What states are measured by.

        Raises:
            FormulaError: A formula cannot be read over the environment's vocabulary.
        """
        rules = (self.p, self.margin, self.shape, self.connectives)
        return Knowledge(parse(text, vocabulary, *rules) for text in self.formulas) if self.formulas else own


@dataclass(frozen=True, slots=True)
class Mode:
    """What a name stands for."""

    objective: Callable[[RunSettings], Objective] | None
    """None: nothing is learned."""
    about: str
    rule: Rule | None = None
    """Of learning; None takes the learner's."""


def _of(made_by: Callable[..., Objective], /, *names: str, **fixed: object) -> Callable[[RunSettings], Objective]:
    """An objective by what the settings say of it."""

    def made(settings: RunSettings) -> Objective:
        told = {
            "joining": Joining(settings.p, settings.connectives),
            "weight": settings.weight,
            "price": settings.weight,
            "limit": settings.learner.cost_limit,
            "rate": settings.price_rate,
        }
        learner = settings.learner
        return made_by(learner.discount, learner.trace_decay, **{name: told[name] for name in names}, **fixed)

    return made


MODES: Final[Mapping[str, Mode]] = {
    "reward": Mode(_of(Reward), "M0: the reward alone"),
    "multiplied": Mode(_of(Multiplied, "joining"), "M1: the return times satisfaction; nothing of negative returns"),
    "deficit": Mode(_of(Deficit, "joining"), "M2: its loss carried back; nothing of negative returns"),
    "penalty": Mode(_of(Penalty, "joining", "weight"), "M3: a weight on what is not satisfied"),
    "lagrangian_soft": Mode(
        _of(KnownLagrangian, "joining", "limit", "rate", kind="soft"), "M4: a limit on what is not satisfied"
    ),
    "lagrangian_crisp": Mode(
        _of(KnownLagrangian, "joining", "limit", "rate", kind="crisp"), "M4: a limit on steps that break a constraint"
    ),
    "released": Mode(_of(Released, "joining"), "the authors' last public code: the cost never reaches the loss"),
    "cost_penalty": Mode(_of(CostPenalty, "price"), "baseline: the reward less a price of each cost"),
    "ppo_lagrangian": Mode(_of(Lagrangian, "limit", "rate"), "baseline: a limit on the environment's cost", "ppo"),
    "pid_lagrangian": Mode(_of(PIDLagrangian, "limit"), "baseline: the same, steered by a PID controller"),
    "trpo": Mode(_of(Reward), "baseline: the reward alone, by trust regions", "trpo"),
    "trpo_lagrangian": Mode(_of(Lagrangian, "limit", "rate"), "baseline: a limit, by trust regions", "trpo"),
    "cpo": Mode(_of(Lagrangian, "limit", rate=0.0, price=0.0), "baseline: a limit held in each step", "cpo"),
    **{name: Mode(None, "does not learn") for name in CHOOSERS},
}
"""Modes by name."""
