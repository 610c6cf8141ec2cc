"""Preference sets that a study may name, by kind: sampled and ranked here, or pairs of a file.

A file's rows are a prompt with two answers, two whole dialogues (Anthropic's HH), or two lists of messages
(UltraFeedback). Pairs that say nothing are left out and counted. No tokens here but in `encoded_pairs`.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from .rewards import ScoresEntry
from .table_files import FileEntry, Row, Text, rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from .direct_preference import PreferencePair

PairPart = Literal["tuning", "probe"]
"""What pairs are for: to tune on, or to try the probe on; all pairs of a prompt are in one of the two."""
_PROBE_SHARE: Final = 0.2
_ANSWER: Final = "\n\nAssistant:"
_ROLES: Final = {"user": "\n\nHuman:", "assistant": _ANSWER, "system": "\n\nSystem:"}


@dataclass(frozen=True, slots=True)
class PreferenceText:
    """A prompt with the answer preferred and the other, as text: answers begin where the prompt ends."""

    prompt: str
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True)
class PreferenceTexts:
    """Pairs of a file."""

    pairs: tuple[PreferenceText, ...]
    left_out: Mapping[str, int]
    """How many were not taken, by reason."""

    def content_hash(self) -> str:
        """SHA-256 (hex) of the pairs in their order."""
        return hashlib.sha256(msgspec.json.encode(self.pairs)).hexdigest()

    def part(self, part: PairPart) -> list[PreferenceText]:
        """Those of one part."""
        return [pair for pair in self.pairs if (_unit(pair.prompt) < _PROBE_SHARE) == (part == "probe")]


class SampledPreferences(msgspec.Struct, frozen=True, tag_field="kind", tag="sampled"):
    """Answers of the base model, ranked by the reward."""


class PreferenceFile(FileEntry, frozen=True, tag_field="kind", tag="file"):
    """Pairs of a file, see `table_files`."""

    prompt: Text = "prompt"
    """Column of the prompt; where there is none it is what both dialogues begin with."""
    chosen: Text = "chosen"
    rejected: Text = "rejected"

    def read(self) -> PreferenceTexts:
        """The pairs.

        Raises:
            ValueError: A row is not right, or no pair is left.
        """
        return _read(self)


PreferenceEntry = SampledPreferences | PreferenceFile
"""Every kind."""


@cache
def _read(entry: PreferenceFile) -> PreferenceTexts:
    return _kept((_pair(entry, row) for row in rows(Path(entry.path))), entry.path)


def scored_preferences(scores: ScoresEntry) -> PreferenceTexts:
    """Of each prompt's answers in a file of scores the best against the worst.

    Raises:
        ValueError: A row is not right, or no pair is left.
    """
    answers: dict[str, list[tuple[float, str]]] = {}
    for row in rows(Path(scores.path)):
        answers.setdefault(row.text(scores.prompt), []).append((row.number(scores.score), row.text(scores.response)))
    pairs = (
        _joined(prompt, max(of, key=_score)[1], min(of, key=_score)[1])
        if max(of, key=_score)[0] > min(of, key=_score)[0]
        else "scored alike"
        for prompt, of in answers.items()
    )
    return _kept(pairs, scores.path)


def encoded_pairs(
    tokenizer: PreTrainedTokenizerBase, pairs: Sequence[PreferenceText], context: int | None
) -> list[PreferencePair]:
    """Pairs as token ids: a prompt keeps its end and an answer its beginning, each at most half of the context.

    Pairs whose answers are cut to the same tokens are left out.

    Args:
        tokenizer: Of the model.
        pairs: The pairs.
        context: Most tokens that the model reads; the paper's 128 of each where it reads more.

    Raises:
        ValueError: No pair is left, or a text cannot be encoded.
    """
    from .direct_preference import PreferencePair
    from .token_blocks import encode_documents

    longest = min(128, (context or 256) // 2)
    columns = (
        encode_documents(tokenizer, [getattr(pair, name) for pair in pairs])
        for name in ("prompt", "chosen", "rejected")
    )
    found = [
        PreferencePair(tuple(prompt[-longest:].tolist()), tuple(good[:longest].tolist()), tuple(bad[:longest].tolist()))
        for prompt, good, bad in zip(*columns, strict=True)
    ]
    kept = [pair for pair in found if pair.prompt and pair.chosen and pair.rejected and pair.chosen != pair.rejected]
    if not kept:
        raise ValueError(f"preferences: none of {len(pairs)} pairs differs in its first {longest} tokens")
    return kept


def _kept(found: Iterable[PreferenceText | str], path: str) -> PreferenceTexts:
    pairs: dict[PreferenceText, None] = {}
    left_out: Counter[str] = Counter()
    for pair in found:
        if isinstance(pair, str):
            left_out[pair] += 1
        elif pair in pairs:
            left_out["there before"] += 1
        else:
            pairs[pair] = None
    if not pairs:
        said = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise ValueError(f"preferences: {Path(path).name} has no pair that says something ({said})")
    return PreferenceTexts(tuple(pairs), dict(left_out))


def _pair(entry: PreferenceFile, row: Row) -> PreferenceText | str:
    if isinstance(row.get(entry.chosen), list):
        return _of_messages(entry, row)
    chosen, rejected = row.text(entry.chosen), row.text(entry.rejected)
    prompt = row.text(entry.prompt) if entry.prompt in row else _common(chosen, rejected)
    if chosen.startswith(prompt) and rejected.startswith(prompt):
        chosen, rejected = chosen[len(prompt) :], rejected[len(prompt) :]
    return _joined(prompt, chosen, rejected)


def _common(chosen: str, rejected: str) -> str:
    """What two dialogues begin with, up to the last answer or, in plain texts, to the last whole word."""
    # By halves: dialogues are long, and letter by letter takes minutes for a hundred thousand.
    length = bisect_left(
        range(min(len(chosen), len(rejected))), True, key=lambda at: chosen[: at + 1] != rejected[: at + 1]
    )
    shared = chosen[:length]
    answer = shared.rfind(_ANSWER)
    if answer >= 0:
        return shared[: answer + len(_ANSWER)]
    return shared[: max(shared.rfind(space) for space in " \n\t") + 1].rstrip()


def _of_messages(entry: PreferenceFile, row: Row) -> PreferenceText | str:
    chosen, rejected = (list(_messages(row, column)) for column in (entry.chosen, entry.rejected))
    shared = list(_same(chosen, rejected))
    if len(chosen) != len(shared) + 1 or len(rejected) != len(shared) + 1:
        return "equal" if chosen == rejected else "different before the last message"
    said = "".join(f"{_ROLES.get(role, role)} {content}" for role, content in shared)
    prompt = f"{said}{_ANSWER}" if said else row.text(entry.prompt)
    return _joined(prompt, chosen[-1][1], rejected[-1][1])


def _messages(row: Row, column: str) -> Iterator[tuple[str, str]]:
    messages = row.get(column)
    if not isinstance(messages, list):
        raise ValueError(f"{row.place}: {column} is {str(messages)[:60]!r}; allowed: a list of messages")
    for message in messages:
        said: Any = message if isinstance(message, dict) else {}
        role, content = said.get("role"), said.get("content")
        if not isinstance(role, str) or not isinstance(content, str):
            raise ValueError(
                f"{row.place}: {column} holds {str(message)[:60]!r}; allowed: messages of role and content"
            )
        yield role, content


def _same(first: list[tuple[str, str]], second: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for one, other in zip(first[:-1], second[:-1], strict=False):
        if one != other:
            return
        yield one


def _joined(prompt: str, chosen: str, rejected: str) -> PreferenceText | str:
    if chosen.strip() == rejected.strip():
        return "equal" if chosen.strip() else "empty"
    if not (chosen.strip() and rejected.strip()):
        return "empty"
    if not prompt.strip():
        return "without a prompt"
    gap = "" if prompt[-1].isspace() else " "
    return PreferenceText(prompt, *(text if text[0].isspace() else gap + text for text in (chosen, rejected)))


def _score(answer: tuple[float, str]) -> float:
    return answer[0]


def _unit(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "little") / 2**64
