"""How many steps of CartPole-v1 PPO takes and learns from per CPU-second, beside stable-baselines3 where it is there.

Every round is a seed; each way trains with it in turn, on one thread, from nothing, environments and all. Three ways:
stable-baselines3's PPO with its defaults and 8 environments; ours with the same settings, epochs and minibatches; ours
with 64 environments and settings of its own. Ours measures each step by the environment's knowledge besides. Returns
are those of the likeliest actions after training, 20 episodes, on the same environments; samples are the steps after
which the last 20 episodes of training had a mean of 475. Ours with 64 environments learns less of each sample: updates
per step stand beside, and so do the CPU-seconds until 475, for which less learning would not pay.
Run it with `python -m tracebank_benchmarks.reinforcement_learning.rate`; the peer joins if `stable_baselines3` can be
imported. The bars: 3 times the peer with its settings, 10 times with ours, whose return is 475 with every seed.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated, Any, Final, NamedTuple

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tracebank_models.reinforcement_learning import classic_control
from tracebank_models.reinforcement_learning.environments import make
from tracebank_models.reinforcement_learning.evaluation import evaluate
from tracebank_models.reinforcement_learning.objectives import Reward
from tracebank_models.reinforcement_learning.rollout import Rollout
from tracebank_models.reinforcement_learning.training import PPOSettings, train

NAME: Final = "CartPole-v1"
SOLVED: Final = classic_control.CartPole.threshold or 0.0
PEER, SAME, FREE = "SB3, 8", "ours, 8", "ours, 64"
BARS: Final = {SAME: 3.0, FREE: 10.0}
"""Times that ours has to be faster than the peer."""
SETTINGS: Final = {
    SAME: PPOSettings(),
    FREE: PPOSettings(
        environments=64, rollout=32, minibatch=256, epochs=4, learning_rate=2e-3, discount=0.98, trace_decay=0.9
    ),
}
_EPISODES: Final = 20


class Trained(NamedTuple):
    """What one training showed."""

    steps: int
    cpu_seconds: float
    gradient_steps: int
    episode_return: float
    """Mean of the episodes afterwards."""
    samples: int | None
    """Steps until the threshold; None where it was not reached."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One way, over all seeds."""

    way: str
    steps: int
    steps_per_cpu_second: float
    """Median of the seeds."""
    to_peer: float | None
    """How many times as fast as the peer; median of the ratios within rounds."""
    gradient_steps_per_sample: float
    returns: list[float]
    samples: list[int | None]
    seconds: list[float | None]
    """CPU time until the threshold."""


def ours(settings: PPOSettings, steps: int, seed: int) -> Trained:
    """Train a policy of ours."""
    ended, returns, begun = list[NDArray[np.int64]](), list[NDArray[np.float64]](), 0

    def note(rollout: Rollout) -> None:
        nonlocal begun
        at = rollout.done.nonzero()[:, 0].numpy() + 1
        ended.append(begun + at * settings.environments)
        returns.append(rollout.episodes.returns)
        begun += rollout.size

    start = time.process_time()
    settings = dataclasses.replace(settings, steps=steps)
    objective = Reward(settings.discount, settings.trace_decay)
    trained = train(make(NAME, settings.environments), settings, objective, seed, on_rollout=note)
    taken = time.process_time() - start
    found = evaluate(trained.policy, make(NAME, _EPISODES), _EPISODES, seed)["episode_return"].to_numpy().mean()
    learned = int(trained.curves["gradient_steps"].sum())
    reached = _reached(np.concatenate(ended), np.concatenate(returns))
    return Trained(begun, taken, learned, float(found), reached)


def theirs(steps: int, seed: int) -> Trained:
    """Train a policy of stable-baselines3."""
    peer = importlib.import_module("stable_baselines3")
    make_environments = importlib.import_module("stable_baselines3.common.env_util").make_vec_env
    start = time.process_time()
    environments = make_environments(NAME, 8, seed=seed)
    model: Any = peer.PPO("MlpPolicy", environments, seed=seed, device="cpu").learn(steps)
    taken = time.process_time() - start
    ends = [8 * np.cumsum(one) for one in environments.env_method("get_episode_lengths")]
    returns = np.concatenate(environments.env_method("get_episode_rewards"))
    order = np.argsort(np.concatenate(ends), kind="stable")
    learned = int(model._n_updates) * (model.n_steps * 8 // model.batch_size)
    reached = _reached(np.concatenate(ends)[order], returns[order])
    return Trained(model.num_timesteps, taken, learned, _played(model, seed), reached)


def _played(model: Any, seed: int) -> float:
    """Mean return of a peer's likeliest actions in first episodes."""
    environments = make(NAME, _EPISODES, seed)
    (seen, _), goes_on, total = environments.reset(seed=seed), np.ones(_EPISODES, np.bool_), 0.0
    while goes_on.any():
        seen, rewards, ends, cuts, _ = environments.step(model.predict(seen, deterministic=True)[0])
        total += float(rewards[goes_on].sum())
        goes_on &= ~(ends | cuts)
    return total / _EPISODES


def _reached(ended: NDArray[np.int64], returns: NDArray[np.float64]) -> int | None:
    """Steps after which the last episodes' mean is at the threshold."""
    if len(returns) < _EPISODES:
        return None
    means = np.convolve(returns, np.full(_EPISODES, 1 / _EPISODES), "valid")
    good = np.nonzero(means >= SOLVED)[0]
    return int(ended[good[0] + _EPISODES - 1]) if len(good) else None


def measure(steps: int, rounds: int) -> list[Rate]:
    """Train in every way in turn, with a seed for each round."""
    ways: dict[str, Callable[[int, int], Trained]] = {
        way: partial(ours, settings) for way, settings in SETTINGS.items()
    }
    if importlib.util.find_spec("stable_baselines3") is not None:
        ways = {PEER: theirs, **ways}
    for train_so in ways.values():  # what is compiled or imported at first is not measured
        train_so(1, 0)
    found: dict[str, list[Trained]] = {way: [] for way in ways}
    for seed in track(range(rounds), "seeds", console=Console(stderr=True)):
        for way, train_so in ways.items():
            found[way].append(train_so(steps, seed))
    return [_rate(way, some, found.get(PEER)) for way, some in found.items()]


def _rate(way: str, found: Sequence[Trained], peers: Sequence[Trained] | None) -> Rate:
    speeds = [one.steps / one.cpu_seconds for one in found]
    ratios = None
    if peers is not None:
        ratios = statistics.median(
            speed / (peer.steps / peer.cpu_seconds) for speed, peer in zip(speeds, peers, strict=True)
        )
    learned = sum(one.gradient_steps for one in found) / sum(one.steps for one in found)
    returns, samples = [one.episode_return for one in found], [one.samples for one in found]
    seconds = [None if at is None else at / speed for at, speed in zip(samples, speeds, strict=True)]
    return Rate(way, found[0].steps, statistics.median(speeds), ratios, learned, returns, samples, seconds)


def table(rates: Sequence[Rate]) -> Table:
    """The rates, for a terminal."""
    columns = "way", "steps/CPU s", "to SB3", "updates/step", "worst", "steps to 475", "CPU s"
    shown = Table(*columns, box=None)
    for rate in rates:
        reached = [one for one in rate.samples if one is not None]
        seconds = [one for one in rate.seconds if one is not None]
        middle = f"{statistics.median(reached):,.0f} ({len(reached)}/{len(rate.samples)})" if reached else "never"
        shown.add_row(
            rate.way,
            f"{rate.steps_per_cpu_second:,.0f}",
            "" if rate.to_peer is None else f"{rate.to_peer:.2f}",
            f"{rate.gradient_steps_per_sample:.4f}",
            f"{min(rate.returns):.0f}",
            middle,
            f"{statistics.median(seconds):.2f}" if seconds else "",
        )
    return shown


def misses(rates: Sequence[Rate]) -> list[str]:
    """What is slower than its bar, or has not learned."""
    slow = [
        f"{one.way}: {one.to_peer:.2f} < {BARS[one.way]} times the peer"
        for one in rates
        if one.way in BARS and one.to_peer is not None and one.to_peer < BARS[one.way]
    ]
    free = next(one for one in rates if one.way == FREE)
    weak = [f"{FREE}, seed {seed}: {one:.0f} < {SOLVED:g}" for seed, one in enumerate(free.returns) if one < SOLVED]
    return slow + weak


def main(
    steps: Annotated[int, typer.Option(min=1, help="Steps of each training; rollouts are whole.")] = 100_000,
    rounds: Annotated[int, typer.Option(min=1, help="Seeds.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure PPO beside stable-baselines3 on one thread."""
    torch.set_num_threads(1)
    rates = measure(steps, rounds)
    if as_json:
        print(json.dumps([asdict(rate) for rate in rates]))  # noqa: T201
    else:
        Console().print(table(rates))
    if missed := misses(rates):
        raise SystemExit("\n".join(missed))


if __name__ == "__main__":
    typer.run(main)
