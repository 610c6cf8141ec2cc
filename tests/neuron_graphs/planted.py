"""Units whose rules are known, without a model, and windows of random texts for them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tracebank_models.neuron_graphs.units import UnitReader
from tracebank_models.neuron_graphs.windows import UnitWindows, Window

WORDS = [
    "ant",
    "bee",
    "cat",
    "dog",
    "eel",
    "fox",
    "gnu",
    "hen",
    "ibex",
    "jay",
    "kite",
    "lynx",
    "mole",
    "newt",
    "owl",
    "pug",
    "quail",
    "rat",
    "seal",
    "toad",
    "urchin",
    "vole",
    "wasp",
    "yak",
    "zebra",
]
SPECIAL = [" Cat", " CAT", "\x00", "\U0001f642", " not"]
TEXTS = ["<pad>", *(f" {word}" for word in WORDS), *SPECIAL]
ID = {text.strip(" "): number for number, text in enumerate(TEXTS)}
COMMON = range(1, 1 + len(WORDS))

Rule = Callable[[Sequence[str], int], float]
"""The value at a position of a text of tokens."""


class PlantedUnits(UnitReader):
    """Units of rules; a token's value depends on the tokens up to it."""

    def __init__(self, *rules: Rule) -> None:
        self.rules, self.features = rules, len(rules)
        self.context, self.padding_id, self.start_id = 64, 0, None
        self.texts = TEXTS
        self.runs = 0

    def encode(self, text: str) -> list[int]:
        known = sorted(TEXTS, key=len, reverse=True)
        return [TEXTS.index(piece) for piece in re.findall("|".join(map(re.escape, known)), text)]

    def values(self, ids: Tensor, mask: Tensor, units: Tensor) -> Tensor:
        self.runs += len(ids)
        found = torch.zeros(*ids.shape, len(units))
        for row, own in enumerate(ids.tolist()):
            tokens = [TEXTS[token].strip(" ") for token in own]
            for column, unit in enumerate(units.tolist()):
                for at in range(len(tokens)):
                    found[row, at, column] = self.rules[unit](tokens, at)
        return found


def random_text(rng: random.Random, plant: Sequence[str] = (), length: int = 40) -> list[int]:
    """Random words, some of them those to be planted."""
    text = [rng.choice(COMMON) for _ in range(length)]
    for at in range(length):
        if plant and rng.random() < 0.3:
            text[at] = ID[rng.choice(plant)]
    return text


def windows_of(unit: int, rule: Rule, plant: Sequence[str], seed: int = 0, count: int = 12) -> UnitWindows:
    """Windows in which the unit fires, and such in which it does not though the token at the pivot is one of theirs."""
    rng = random.Random(seed)
    firing: list[Window] = []
    silent: list[Window] = []
    for _ in range(400):
        ids = random_text(rng, plant)
        tokens = [TEXTS[token].strip(" ") for token in ids]
        values = [rule(tokens, at) for at in range(len(tokens))]
        fires = [at for at, value in enumerate(values) if value > 0]
        quiet = [at for at, value in enumerate(values) if value == 0 and tokens[at] in plant]
        if fires and len(firing) < count:
            firing.append(Window(tuple(ids), rng.choice(fires), 1.0))
        if quiet and len(silent) < count:
            silent.append(Window(tuple(ids), rng.choice(quiet), 0.0))
    return UnitWindows(unit, 1.0, firing, silent)


def f1(predicted: Sequence[float], true: Sequence[float]) -> float:
    """F1 of firing."""
    hits = sum(p >= 0.5 and t >= 0.5 for p, t in zip(predicted, true, strict=True))
    wrong = sum((p >= 0.5) != (t >= 0.5) for p, t in zip(predicted, true, strict=True))
    return 2 * hits / (2 * hits + wrong) if hits else 0.0
