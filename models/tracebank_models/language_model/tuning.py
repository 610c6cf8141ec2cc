"""Tuning a loaded model with a known reward, by either method: prompts, pairs, the folder, the training, the choice.

The methods are in `proximal_policy` and `direct_preference`, what they did is measured by `policy_evaluation`; here is
what both need around them.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
from transformers import PreTrainedModel

from tracebank_models.checked_settings import settings_hash

from .corpus import Document, corpus_frame
from .direct_preference import PreferencePair, sampled_preferences, tune_with_dpo
from .loading import LoadedModel, load_language_model
from .policy_evaluation import HeldOutPrompts, PolicyEvaluation, chosen_step
from .preference_sets import PreferenceText, encoded_pairs
from .prompts import Prompt, PromptSource
from .proximal_policy import tune_with_ppo
from .rewards import Reward
from .text_limits import context_length
from .training_loop import OnStep, checkpoints
from .training_settings import DPOConfiguration, PPOConfiguration

TuningConfiguration = PPOConfiguration | DPOConfiguration
_NO_BUDGET: Final = 1e6
_BATCH: Final = 64
"""Prompts that are answered at once to make pairs."""


@dataclass(frozen=True, slots=True)
class TuningTask:
    """What a model is tuned for, and on which texts."""

    reward: Reward
    documents: Sequence[Document]
    """Prompts of the training are cut from them."""
    held_out: Sequence[Document]
    """Prompts of the measurements are cut from half of their openings, which the training then leaves out."""
    pairs: Sequence[PreferenceText] | None = None
    """What DPO learns from; None: answers that the base samples and the reward ranks."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of tuning."""

    curve: pl.DataFrame
    """Rows as `tune_with_ppo` or `tune_with_dpo` give them."""
    checkpoints: list[tuple[int, Path]]
    """Steps and folder of each checkpoint that was kept."""
    evaluations: list[PolicyEvaluation]
    """Each checkpoint on the prompts to choose on, and last the chosen one on those of the report."""
    chosen: int
    """Step of the tuned model; 0 where no checkpoint is better than the untuned model."""
    pairs: int
    """Pairs that DPO learned from; 0 with PPO."""
    ties: int
    """Prompts that gave none, since their answers are too alike in reward."""


def tune(
    base: LoadedModel,
    task: TuningTask,
    configuration: TuningConfiguration,
    directory: Path,
    on_step: OnStep | None = None,
) -> Tuned:
    """Tune, in a folder for these settings, this base and these prompts, and choose a checkpoint; resumes there.

    Args:
        base: The model; it is changed in place.
        task: What for.
        configuration: How; its type is the method.
        directory: Below it the folder is made.
        on_step: Called with the row of each step.

    Raises:
        ValueError: See `tune_with_ppo`, `tune_with_dpo`, `sampled_preferences` and `PromptSource`.
    """
    # A copy waits on the CPU, so that a GPU holds no third model while it trains.
    untuned = copy.deepcopy(base.model).cpu()
    prompts, held_out = _prompts(base, task, configuration)
    parts = (configuration, base.facts.weights_hash, prompts.content_hash(), task.reward.content_hash())
    folder = directory / settings_hash(*parts)[:12]
    pairs: list[PreferencePair] = []
    ties = 0
    if isinstance(configuration, PPOConfiguration):
        curve = tune_with_ppo(base.model, base.tokenizer, prompts, task.reward, configuration, folder, on_step)
    else:
        pairs, ties = _pairs(base, prompts, task, configuration)
        curve = tune_with_dpo(base.model, base.tokenizer, pairs, configuration, folder, on_step)
    found = checkpoints(folder)
    untuned.to(base.model.device)  # type: ignore[arg-type]
    seen = prompts.prefixes() | {pair.prompt for pair in pairs}
    held = _held_out(dataclasses.replace(base, model=untuned), task, configuration, held_out, seen)
    evaluations, chosen = _choice(untuned, held, configuration, found) if held else ([], found[-1][0])
    return Tuned(curve, found, evaluations, chosen, len(pairs), ties)


def evaluate_pair(base: LoadedModel, tuned: LoadedModel, task: TuningTask, prompts: int) -> list[PolicyEvaluation]:
    """Measure a model that was tuned elsewhere, as step 1, on the prompts of the report.

    Raises:
        ValueError: See `PromptSource`; a reward is not finite.
    """
    source = PromptSource(base.tokenizer, corpus_frame(task.held_out))
    held = HeldOutPrompts(base.model, base.tokenizer, source, task.reward, prompts)
    return [held.evaluate(tuned.model, 1, "report")]


def frontier(
    base: LoadedModel,
    task: TuningTask,
    configuration: TuningConfiguration,
    betas: Sequence[float],
    directory: Path,
    on_step: OnStep | None = None,
) -> Iterator[tuple[TuningConfiguration, Tuned]]:
    """Tune the same base at several prices of KL, each held and without a budget; the settings and what came of each.

    Args:
        base: The model; it is changed in place.
        task: What for.
        configuration: How, but for the price.
        betas: Prices, in order.
        directory: Below it a folder for each is made; what is done there is not done again.
        on_step: Called with the row of each step, numbered through.

    Raises:
        ValueError: As `tune`.
    """
    weights = copy.deepcopy(base.model.state_dict())
    for number, beta in enumerate(betas):
        base.model.load_state_dict(weights)
        own = dataclasses.replace(at_beta(configuration, beta), kl_budget=_NO_BUDGET)
        before = number * own.steps

        def numbered(row: Mapping[str, float | int], before: int = before) -> None:
            if on_step is not None:
                on_step({**row, "step": before + row["step"]})

        yield own, tune(base, task, own, directory, numbered)


def at_beta(configuration: TuningConfiguration, beta: float) -> TuningConfiguration:
    """The same with another price of KL; with PPO it is held, and checkpoints are chosen by it, too."""
    held = {"target_kl": None, "kl_price": beta} if isinstance(configuration, PPOConfiguration) else {}
    return dataclasses.replace(configuration, beta=beta, **held)  # type: ignore[arg-type]


def _prompts(
    base: LoadedModel, task: TuningTask, configuration: TuningConfiguration
) -> tuple[PromptSource, PromptSource | None]:
    """Prompts to tune on, and those to measure on, if that is asked for: documents of either begin otherwise.

    Other documents alone are not enough: texts of few openings begin alike whichever they are.
    """
    source = PromptSource(base.tokenizer, corpus_frame(task.documents), seed=configuration.seed)
    if not configuration.held_out_prompts:
        return source, None
    held_out = PromptSource(base.tokenizer, corpus_frame(task.held_out), seed=configuration.seed).halves()[0]
    return source.without(held_out), held_out


def _pairs(
    base: LoadedModel, prompts: PromptSource, task: TuningTask, configuration: DPOConfiguration
) -> tuple[list[PreferencePair], int]:
    """The pairs, and how many prompts gave none."""
    if task.pairs is not None:
        given = encoded_pairs(base.tokenizer, task.pairs, context_length(base.model))
        return given, len(task.pairs) - len(given)
    batches = math.ceil(configuration.prompts / _BATCH)
    how = (batches, _BATCH, configuration.seed, configuration.smallest_gap, configuration.answers)
    pairs = sampled_preferences(base.model, base.tokenizer, prompts, task.reward, *how)
    return pairs, batches * _BATCH - len(pairs)


def _held_out(
    untuned: LoadedModel,
    task: TuningTask,
    configuration: TuningConfiguration,
    source: PromptSource | None,
    seen: Collection[Prompt],
) -> HeldOutPrompts | None:
    if source is None:
        return None
    how = (task.reward, configuration.held_out_prompts, configuration.seed, seen)
    return HeldOutPrompts(untuned.model, untuned.tokenizer, source, *how)


def _choice(
    untuned: PreTrainedModel, held: HeldOutPrompts, configuration: TuningConfiguration, found: list[tuple[int, Path]]
) -> tuple[list[PolicyEvaluation], int]:
    """What the checkpoints are worth, and the step of the best."""
    device = str(untuned.device)
    folders = dict(found)
    evaluations = [held.evaluate(untuned, 0, "choice")]
    for step, path in found:
        evaluations.append(held.evaluate(load_language_model(str(path), device=device).model, step, "choice"))
    chosen = chosen_step(evaluations, configuration.kl_price, configuration.kl_budget)
    policy = load_language_model(str(folders[chosen]), device=device).model if chosen else untuned
    return [*evaluations, held.evaluate(policy, chosen, "report")], chosen
