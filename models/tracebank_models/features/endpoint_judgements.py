"""What a model behind an endpoint makes of marked texts: fuzzing and intruder scores of features.

A score is the share of right answers, told beside what guessing gives. It is null where there is nothing to ask, or
where an answer cannot be read: such an answer is never counted as right. The texts are drawn in `text_pieces`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tracebank_models.chat_endpoint import Exchange
from tracebank_models.features.endpoint_explainer import EndpointExplainer, read_flags
from tracebank_models.features.text_pieces import CLOSING, INTRUDER_TEXTS, OPENING, IntruderSet, MarkedText

CHANCE: Final[Mapping[str, float]] = {"detection": 0.5, "fuzzing": 0.5, "intruder": 1 / INTRUDER_TEXTS}
"""What guessing gives of each score."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A score."""

    metric: str
    """`fuzzing` or `intruder`; of `CHANCE`."""
    value: float | None
    tokens: int
    """Of the texts that were judged; 0 where there were none."""
    exchanges: tuple[Exchange, ...]


def fuzzing(endpoint: EndpointExplainer, explanation: str, texts: Sequence[MarkedText]) -> Judgement:
    """Ask in which texts the marked tokens are those that an explanation speaks of.

    Args:
        endpoint: Is asked once.
        explanation: Of the feature.
        texts: As many with right marks as with wrong ones, or none.

    Raises:
        ValueError: There is no answer.
    """
    if not texts:
        return Judgement("fuzzing", None, 0, ())
    listed = "\n".join(f"{number}. {one.text!r}" for number, one in enumerate(texts, 1))
    exchange = endpoint.ask(
        f"A feature of a language model is described so: {explanation}\nIt fires on some tokens of each text below."
        f" In some texts just these stand between {OPENING} and {CLOSING}, in the others it is tokens that it does not"
        f" fire on.\n{listed}\nAnswer with a JSON list of {len(texts)} digits, 1 where the marks fit the description, 0"
        " where not; nothing else."
    )
    flags = read_flags(exchange.answer, len(texts))
    right = None if flags is None else sum(flag == one.right for flag, one in zip(flags, texts, strict=True))
    value = None if right is None else right / len(texts)
    return Judgement("fuzzing", value, sum(one.tokens for one in texts), (exchange,))


def intruder(endpoint: EndpointExplainer, sets: Sequence[IntruderSet]) -> Judgement:
    """Ask which text of each set does not belong; no explanation is told, so this is a score of the feature itself.

    Args:
        endpoint: Is asked once for each set, since texts of one would give away another's.
        sets: May be none.

    Raises:
        ValueError: There is no answer.
    """
    exchanges = tuple(endpoint.ask(_intruder_prompt(one)) for one in sets)
    chosen = [_number(exchange.answer, len(one.texts)) for exchange, one in zip(exchanges, sets, strict=True)]
    value = None
    if sets and None not in chosen:
        value = sum(number == one.intruder + 1 for number, one in zip(chosen, sets, strict=True)) / len(sets)
    return Judgement("intruder", value, sum(one.tokens for one in sets), exchanges)


def _intruder_prompt(one: IntruderSet) -> str:
    listed = "\n".join(f"{number}. {text!r}" for number, text in enumerate(one.texts, 1))
    return (
        f"Each text has tokens between {OPENING} and {CLOSING}. In all texts but one, one and the same feature of a"
        f" language model fires on the marked tokens; in the odd one they are marked by chance.\n{listed}\nWhich is"
        f" the odd one? Answer with its number, 1 to {len(one.texts)}; nothing else."
    )


def _number(answer: str, most: int) -> int | None:
    """The one number of an answer; None where there is none, more than one, or one that is out of range."""
    found = re.findall(r"\d+", answer)
    return int(found[0]) if len(found) == 1 and 1 <= int(found[0]) <= most else None
