"""A world of facts about made-up people, and its text: what a small model is trained on to know something for sure.

Each fact is told in all templates of its relation but one, so that knowing it can be told from repeating a sentence.
Document i of a world is the same whatever number of documents is asked for. No tokens, no records of edits.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from tracebank_models.checked_settings import require, whole

from .corpus import Document
from .fact_words import FIRST_NAMES, LAST_NAME_ENDS, LAST_NAME_STARTS, RELATIONS, Relation

_SHORTEST, _LONGEST = 2, 4
"""Sentences of a document."""


@dataclass(frozen=True, slots=True)
class Fact:
    """That a subject has an object in a relation."""

    subject: str
    relation: Relation
    object: str
    untold: int
    """Which of the relation's templates the text never tells it in."""

    @property
    def told(self) -> tuple[str, ...]:
        """The templates that the text tells it in."""
        return tuple(one for at, one in enumerate(self.relation.templates) if at != self.untold)


@dataclass(frozen=True, slots=True)
class FactWorld:
    """How many facts there are, and how much text tells them."""

    subjects: int = 80
    """People; each has an object in every relation."""
    relations: int = 4
    objects: int = 8
    """Of a relation; each has as many subjects as the others, give or take one."""
    documents: int = 20_000
    """Of two to four sentences; half of them are about one subject."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is out of range; the line names it, its value and what is allowed.
        """
        whole(self, 2, len(LAST_NAME_STARTS) * len(LAST_NAME_ENDS), "subjects")
        whole(self, 1, len(RELATIONS), "relations")
        whole(self, 2, min(len(one.objects) for one in RELATIONS), "objects")
        require(self, "objects", f"at most the subjects, {self.subjects}", self.objects <= self.subjects)
        whole(self, 2, 10**9, "documents")
        whole(self, 0, 2**63 - 1, "seed")

    def facts(self) -> list[Fact]:
        """Every fact, by relation and subject."""
        names = self._names()
        found = []
        for relation in RELATIONS[: self.relations]:
            stream = random.Random(f"fact_world/{self.seed}/{relation.relation}")
            objects = [relation.objects[at % self.objects] for at in range(self.subjects)]
            stream.shuffle(objects)
            untold = [stream.randrange(len(relation.templates)) for _ in names]
            found += [Fact(*one) for one in zip(names, [relation] * len(names), objects, untold, strict=True)]
        return found

    def texts(self) -> Iterator[Document]:
        """Its documents."""
        facts = self.facts()
        for index in range(self.documents):
            stream = random.Random(f"fact_world/{self.seed}/{index}")
            text = " ".join(_sentence(stream, fact) for fact in self._told_together(stream, facts))
            yield Document(f"fact_world/{self.seed}/{index}", "fact_world", text)

    def _told_together(self, stream: random.Random, facts: list[Fact]) -> list[Fact]:
        if stream.random() < 0.5:
            return [stream.choice(facts) for _ in range(stream.randint(_SHORTEST, _LONGEST))]
        subject = stream.randrange(self.subjects)
        own = facts[subject :: self.subjects]
        return stream.sample(own, min(len(own), stream.randint(_SHORTEST, _LONGEST)))

    def _names(self) -> list[str]:
        """First names are shared; of every four last names two are one's own and two are the same."""
        stream = random.Random(f"fact_world/{self.seed}/names")
        last = [start + end for start in LAST_NAME_STARTS for end in LAST_NAME_ENDS]
        stream.shuffle(last)
        first = stream.sample(FIRST_NAMES, len(FIRST_NAMES))
        # Neighbours share a last name and never a first one.
        return [f"{first[at % len(first)]} {last[at - 1 if at % 4 == 3 else at]}" for at in range(self.subjects)]


def _sentence(stream: random.Random, fact: Fact) -> str:
    return f"{stream.choice(fact.told).format(fact.subject)} {fact.object}."
