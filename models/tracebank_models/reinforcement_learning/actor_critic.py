"""A policy and its critics: small networks of one shape side by side in one tensor, with gradients written out.

Networks of 64 units are so small that what costs is the number of operations: all networks share each of them, and a
step of learning is a tenth of what autograd does. `forward` takes parameters from outside too, for who differentiates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from gymnasium import spaces

LOG_TAU: Final = math.log(2 * math.pi)


@dataclass(frozen=True, slots=True)
class Forward:
    """One pass over observations `[b, d]`."""

    hidden: list[torch.Tensor]
    """Input and hidden layers, `[networks, b, width]`."""
    heads: torch.Tensor
    """Logits, or means, `[b, a]`."""
    values: torch.Tensor
    """Of the critics, `[b, k]`."""


class ActorCritic:
    """A policy over observations `[b, d]` and `critics` estimates of value.

    Args:
        observations: Numbers of an observation.
        action: Discrete, or a box of any number of axes of one dimension.
        critics: How many.
        hidden: Widths of the layers of tanh units.
        generator: For the first weights: orthogonal, as is usual.
        device: Where it lies.
        bounds: Of observations, which come within [-1, 1] by them; None leaves observations as they are.

    Raises:
        ValueError: The action space is of another kind.
    """

    def __init__(
        self,
        observations: int,
        action: spaces.Space[object],
        critics: int,
        hidden: Sequence[int] = (64, 64),
        generator: torch.Generator | None = None,
        device: torch.device | str = "cpu",
        bounds: spaces.Box | None = None,
    ) -> None:
        if isinstance(action, spaces.Discrete):
            self.actions, self.is_discrete = int(action.n), True
        elif isinstance(action, spaces.Box) and len(action.shape) == 1:
            self.actions, self.is_discrete = action.shape[0], False
        else:
            raise ValueError(f"action space: {action} is not allowed; allowed: Discrete, or a Box of one axis")
        self.observations, self.critics, self.hidden = observations, critics, tuple(hidden)
        self._shapes = self._layout()
        self.parameters = torch.zeros(sum(math.prod(shape) for shape in self._shapes), device=device)
        self.gradient = torch.zeros_like(self.parameters)
        self._views, self._gradients = self.views(self.parameters), self.views(self.gradient)
        self._initialise(generator)
        self._bounds = None if bounds is None else _centre_and_half(bounds, device)

    def _layout(self) -> list[tuple[int, ...]]:
        networks, width = 1 + self.critics, self.observations
        shapes: list[tuple[int, ...]] = []
        for units in self.hidden:
            shapes += [(networks, width, units), (networks, 1, units)]
            width = units
        shapes += [(width, self.actions), (self.actions,), (self.critics, width, 1), (self.critics, 1, 1)]
        return [*shapes, (0,) if self.is_discrete else (self.actions,)]

    def views(self, flat: torch.Tensor) -> list[torch.Tensor]:
        """The tensors of the layers in a flat one."""
        parts = torch.split(flat, [math.prod(shape) for shape in self._shapes])
        return [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def _initialise(self, generator: torch.Generator | None) -> None:
        *layers, head, _, value, _, _ = self._views
        weights = [(matrix, math.sqrt(2)) for stack in layers[::2] for matrix in stack]
        weights += [(head, 0.01), *((matrix, 1.0) for matrix in value)]
        for matrix, gain in weights:
            made = torch.empty(matrix.shape)
            torch.nn.init.orthogonal_(made, gain, generator=generator)
            matrix.copy_(made)

    @property
    def log_deviations(self) -> torch.Tensor:
        """Of continuous actions, `[a]`."""
        return self._views[-1]

    def forward(self, observations: torch.Tensor, flat: torch.Tensor | None = None) -> Forward:
        """Logits or means, and values; of other parameters where they are given."""
        *layers, head, head_bias, value, value_bias, _ = self._views if flat is None else self.views(flat)
        if self._bounds is not None:
            centre, half = self._bounds
            observations = (observations - centre) / half
        hidden = [observations.expand(1 + self.critics, *observations.shape)]
        for weights, bias in zip(layers[::2], layers[1::2], strict=True):
            hidden.append(torch.baddbmm(bias, hidden[-1], weights).tanh())
        values = torch.baddbmm(value_bias, hidden[-1][1:], value)[..., 0].T
        return Forward(hidden, torch.addmm(head_bias, hidden[-1][0], head), values)

    def backward(
        self, passed: Forward, heads: torch.Tensor, values: torch.Tensor, deviations: torch.Tensor | None
    ) -> None:
        """Write the gradient of a loss to `gradient`.

        Args:
            passed: The pass.
            heads: Gradient of the loss to the heads, `[b, a]`.
            values: To the values, `[b, k]`.
            deviations: To the log deviations, `[a]`.
        """
        *layers, head, _, value, _, _ = self._views
        *slopes, to_head, to_head_bias, to_value, to_value_bias, to_deviations = self._gradients
        hidden = passed.hidden
        columns = values.T.unsqueeze(-1)
        torch.mm(hidden[-1][0].T, heads, out=to_head)
        torch.sum(heads, 0, out=to_head_bias)
        torch.bmm(hidden[-1][1:].transpose(1, 2), columns, out=to_value)
        torch.sum(columns, 1, keepdim=True, out=to_value_bias)
        if deviations is not None:
            to_deviations.copy_(deviations)
        back = torch.empty_like(hidden[-1])
        torch.mm(heads, head.T, out=back[0])
        torch.bmm(columns, value.transpose(1, 2), out=back[1:])
        for at in range(len(hidden) - 1, 0, -1):
            back = back * (1 - hidden[at] * hidden[at])
            torch.bmm(hidden[at - 1].transpose(1, 2), back, out=slopes[2 * at - 2])
            torch.sum(back, 1, keepdim=True, out=slopes[2 * at - 1])
            if at > 1:
                back = torch.bmm(back, layers[2 * at - 2].transpose(1, 2))

    def sampled(self, heads: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Actions drawn from the policy: `[b]` whole numbers, or `[b, a]`."""
        if self.is_discrete:
            noise = torch.empty_like(heads).exponential_(generator=generator)
            return (heads - noise.log_()).argmax(-1)  # Gumbel's trick
        noise = torch.empty_like(heads).normal_(generator=generator)
        return torch.addcmul(heads, noise, self.log_deviations.exp())

    def best(self, heads: torch.Tensor) -> torch.Tensor:
        """The likeliest actions."""
        return heads.argmax(-1) if self.is_discrete else heads

    def log_probabilities(
        self, heads: torch.Tensor, actions: torch.Tensor, flat: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Of actions, in nats, `[b]`."""
        if self.is_discrete:
            return heads.log_softmax(-1).gather(-1, actions.long().unsqueeze(-1))[..., 0]
        log_deviations = self.log_deviations if flat is None else self.views(flat)[-1]
        standard = (actions - heads) * (-log_deviations).exp()
        return -0.5 * (standard * standard).sum(-1) - log_deviations.sum() - 0.5 * self.actions * LOG_TAU

    def kl(self, old: torch.Tensor, new: torch.Tensor, old_flat: torch.Tensor, new_flat: torch.Tensor) -> torch.Tensor:
        """Mean exact KL(old || new) over observations, in nats, from heads and parameters."""
        if self.is_discrete:
            before = old.log_softmax(-1)
            return (before.exp() * (before - new.log_softmax(-1))).sum(-1).mean()
        before, after = self.views(old_flat)[-1], self.views(new_flat)[-1]
        squares = ((2 * before).exp() + (old - new) ** 2) * (-2 * after).exp()
        return (after - before + 0.5 * (squares - 1)).sum(-1).mean()

    def act(
        self, observations: np.ndarray, *, greedy: bool = True, generator: torch.Generator | None = None
    ) -> np.ndarray:
        """Actions for observations `[n, d]`, as an environment takes them.

        Raises:
            ValueError: Observations have another shape, or the policy says NaN.
        """
        if observations.ndim != 2 or observations.shape[1] != self.observations:
            raise ValueError(
                f"observations: shape {list(observations.shape)} is not allowed; allowed: [n, {self.observations}]"
            )
        device = self.parameters.device
        heads = self.forward(torch.as_tensor(observations, dtype=torch.float32, device=device)).heads
        check_finite(heads)
        chosen = self.best(heads) if greedy or generator is None else self.sampled(heads, generator)
        return chosen.cpu().numpy()


def check_finite(heads: torch.Tensor) -> None:
    """Refuse a policy that has diverged.

    Raises:
        ValueError: It says NaN or infinity of some observation.
    """
    if not torch.isfinite(heads).all():
        raise ValueError(
            "policy: it says NaN or infinity; allowed: numbers (a smaller learning rate, a norm of gradients)"
        )


def _centre_and_half(bounds: spaces.Box, device: torch.device | str) -> tuple[torch.Tensor, torch.Tensor]:
    """Middle and half width of each number; 0 and 1 of those without bounds."""
    low, high = (torch.as_tensor(edge, dtype=torch.float32, device=device) for edge in (bounds.low, bounds.high))
    is_bound = torch.isfinite(low) & torch.isfinite(high)
    return torch.where(is_bound, (low + high) / 2, 0.0), torch.where(is_bound, (high - low) / 2, 1.0)
