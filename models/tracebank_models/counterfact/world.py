"""Edits of a world of facts, as CounterFact writes them, and whether a model knows that world.

The world and its text are `language_model.fact_world`'s; a model of it is trained by `base_training`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

import polars as pl
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.language_model.fact_world import Fact, FactWorld
from tracebank_models.log_likelihood.scorer import ScorerSettings, encoded_pair, scored

from .records import EditCase, checked_cases

_MOST: Final = 10
"""Neighbors and attributes of a record, as in CounterFact."""


def world_cases(world: FactWorld) -> list[EditCase]:
    """A case for each fact, in an order by chance, so that the first few are of all relations."""
    return checked_cases(world_records(world)).cases


def world_records(world: FactWorld) -> list[dict[str, Any]]:
    """The same as records of CounterFact.

    The fact is rewritten in a template that the text tells it in; one of its two paraphrases is in the template that
    the text never tells it in.
    """
    facts = world.facts()
    stream = random.Random(f"fact_world/{world.seed}/cases")
    return [_record(number, fact, facts, stream) for number, fact in enumerate(stream.sample(facts, len(facts)))]


def known_facts(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, world: FactWorld, settings: ScorerSettings | None = None
) -> pl.DataFrame:
    """What a model says of every fact in every template.

    Returns:
        Columns `relation`, `subject`, `object`, `template` (number), `told` (whether the text tells the fact in it),
        `correct` (whether the object is the likeliest), `log_likelihood` (nats).

    Raises:
        ValueError: See `scored`.
    """
    asked = [(fact, at) for fact in world.facts() for at in range(len(fact.relation.templates))]
    pairs = [
        encoded_pair(tokenizer, fact.relation.templates[at].format(fact.subject), f" {fact.object}")
        for fact, at in asked
    ]
    found = scored(model, pairs, settings)
    return pl.DataFrame(
        {
            "relation": [fact.relation.relation for fact, _ in asked],
            "subject": [fact.subject for fact, _ in asked],
            "object": [fact.object for fact, _ in asked],
            "template": [at for _, at in asked],
            "told": [at != fact.untold for fact, at in asked],
            "correct": found.greedy,
            "log_likelihood": found.log_likelihood,
        }
    )


def _record(number: int, fact: Fact, facts: Sequence[Fact], stream: random.Random) -> dict[str, Any]:
    relation = fact.relation
    same = [other for other in facts if other.relation is relation and other.subject != fact.subject]
    new = stream.choice(sorted({other.object for other in same} - {fact.object}))
    rewrite, second = stream.sample(fact.told, 2)
    others = [other for other in facts if other.relation is not relation and other.subject != fact.subject]
    paraphrases = [
        f"{_sentence(stream, others or same)} {template.format(fact.subject)}"
        for template in (relation.templates[fact.untold], second)
    ]
    return {
        "case_id": number,
        "requested_rewrite": {
            "prompt": rewrite,
            "relation_id": relation.relation,
            "subject": fact.subject,
            "target_new": {"str": new},
            "target_true": {"str": fact.object},
        },
        "paraphrase_prompts": paraphrases,
        "neighborhood_prompts": _prompts(stream, [other for other in same if other.object == fact.object]),
        "attribute_prompts": _prompts(stream, [other for other in same if other.object == new]),
        "generation_prompts": [template.format(fact.subject) for template in relation.templates],
    }


def _prompts(stream: random.Random, facts: Sequence[Fact]) -> list[str]:
    chosen = stream.sample(facts, min(len(facts), _MOST))
    return [stream.choice(fact.told).format(fact.subject) for fact in chosen]


def _sentence(stream: random.Random, facts: Sequence[Fact]) -> str:
    fact = stream.choice(facts)
    return f"{stream.choice(fact.told).format(fact.subject)} {fact.object}."
