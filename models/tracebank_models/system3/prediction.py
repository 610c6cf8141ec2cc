"""The next state, predicted: s' = s + network(s, a); and an objective that sees what is predicted.

The network begins at nothing, so that the first prediction is that all stays as it is. Its error is that on steps that
it has not learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.nn import functional

from tracebank_models.constraint_logic.constraints import Knowledge
from tracebank_models.reinforcement_learning.objectives import Advantages, Critic, Objective
from tracebank_models.reinforcement_learning.rollout import Rollout


class NextState:
    """A residual predictor with Huber loss.

    Args:
        observations: Numbers of an observation.
        actions: How many there are to choose from, or numbers of an action.
        is_discrete: Which of the two.
        seed: Of weights and order.
        hidden: Units of each of two layers.
        learning_rate: Of Adam.
        epochs: Passes over a rollout.
        minibatch: Steps.
        device: Where it lies.
    """

    def __init__(
        self,
        observations: int,
        actions: int,
        seed: int,
        *,
        is_discrete: bool,
        hidden: int = 64,
        learning_rate: float = 1e-3,
        epochs: int = 2,
        minibatch: int = 256,
        device: torch.device | str = "cpu",
    ) -> None:
        self.actions, self.is_discrete = actions, is_discrete
        self.epochs, self.minibatch = epochs, minibatch
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = torch.nn.Sequential(
                torch.nn.Linear(observations + actions, hidden),
                torch.nn.ReLU(),
                torch.nn.Linear(hidden, hidden),
                torch.nn.ReLU(),
                torch.nn.Linear(hidden, observations),
            ).to(device)
        for parameter in self.network[-1].parameters():
            torch.nn.init.zeros_(parameter)
        self._optimizer = torch.optim.Adam(self.network.parameters(), lr=learning_rate)
        self._generator = torch.Generator(device).manual_seed(seed)

    def predicted(self, observations: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Next observations `[…, d]`, of observations and actions; gradients pass to both and to the weights."""
        taken = functional.one_hot(actions.long(), self.actions) if self.is_discrete else actions
        change: torch.Tensor = self.network(torch.cat([observations, taken.to(observations.dtype)], -1))
        return observations + change

    @torch.no_grad()
    def error(self, rollout: Rollout) -> float:
        """Mean Huber loss over steps and numbers of the observation."""
        predicted = self.predicted(rollout.observations, rollout.actions)
        return float(functional.huber_loss(predicted, rollout.next_observations))

    @torch.enable_grad()
    def fit(self, rollout: Rollout) -> None:
        """Learn from a rollout."""
        told = [one.flatten(0, 1) for one in (rollout.observations, rollout.actions, rollout.next_observations)]
        for _ in range(self.epochs):
            order = torch.randperm(rollout.size, generator=self._generator, device=told[0].device)
            for part in torch.split(order, self.minibatch):
                seen, taken, following = (one[part] for one in told)
                loss = functional.huber_loss(self.predicted(seen, taken), following)
                self._optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self._optimizer.step()


@dataclass(slots=True)
class OnPredictions:
    """An objective whose critics see predicted next states, and whose satisfaction may be that of these.

    A return is r + discount * ((1 - trace decay) * V(predicted) + trace decay * the return that follows). Were the
    prediction's value put in place of the true one in each step's error alone, V(true) of the next step would count
    against the action that led there, and worse predictions would turn advantages round.
    """

    objective: Objective
    predictor: NextState
    features: Callable[[torch.Tensor], Mapping[str, Any]]
    """Of an environment: from observations `[b, d]`."""
    judged_by: Knowledge | None = None
    """What predicted states are measured by; None leaves satisfaction that of the true ones."""
    trace_decay: float = 0.95
    """The objective's."""
    critics: int = field(init=False)

    def __post_init__(self) -> None:
        """Take over the objective's critics."""
        self.critics = self.objective.critics

    def advantages(self, rollout: Rollout, critic: Critic) -> Advantages:
        """The objective's, of the rollout with predicted next states."""
        with torch.no_grad():
            predicted = self.predictor.predicted(rollout.observations, rollout.actions)
            changes: dict[str, Any] = {"next_observations": predicted}
            if self.judged_by is not None:
                said = self.judged_by.evaluate(self.features(predicted.flatten(0, 1)))
                shape = rollout.satisfactions.shape
                changes["satisfactions"] = said.satisfaction.to(rollout.satisfactions.dtype).reshape(shape)
                changes["violated"] = said.violated.reshape(shape)
            following = self._following(rollout, critic(predicted))
        return self.objective.advantages(replace(rollout, **changes), lambda _: following)

    def _following(self, rollout: Rollout, predicted: torch.Tensor) -> torch.Tensor:
        """Values of next states: where a trace goes on behind a step, its share of them is the next step's own."""
        shares = self.trace_decay * ~rollout.done[:-1].unsqueeze(-1)
        return torch.cat([torch.lerp(predicted[:-1], rollout.values[1:], shares), predicted[-1:]])

    def updated(self, rollout: Rollout) -> dict[str, float]:
        """Measure the predictor by the rollout, then teach it."""
        told = self.objective.updated(rollout)
        error = self.predictor.error(rollout)
        self.predictor.fit(rollout)
        return {**told, "prediction_error": error}
