"""Facts to edit: CounterFact's records and such of zsRE, each checked by itself, one line for what is not right.

Both become the same `EditCase`. No model is known here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import polars as pl

from tracebank_models.checked_settings import converted
from tracebank_models.language_model.table_files import plain_bytes

SLOT: Final = "{}"
REFUSED_SCHEMA: Final = {"record": pl.Int64, "case_id": pl.String, "problem": pl.String}
"""Columns of what was refused: place in the file, the id as it stands there, and one line."""

_NOT_BLANK: Final = r"\S"
_Words = Annotated[str, msgspec.Meta(pattern=_NOT_BLANK)]
_Prompts = tuple[_Words, ...]
_Id = Annotated[int, msgspec.Meta(ge=0)]


@dataclass(frozen=True, slots=True)
class EditCase:
    """A fact that is edited in, what it replaces, and the prompts that show what else moved. Prompts end before the
    object.
    """

    case_id: int
    relation: str
    subject: str
    prompt: str
    """With one `{}` for the subject."""
    target_true: str
    target_new: str
    paraphrases: tuple[str, ...]
    """Of the prompt, with the subject in them."""
    neighbors: tuple[str, ...]
    """Prompts about other subjects, which the edit is not about."""
    neighbor_target: str
    """What is true of the neighbors: in CounterFact `target_true`, in zsRE something else."""
    attributes: tuple[str, ...] = ()
    """Prompts about subjects for which `target_new` is true."""
    generation_prompts: tuple[str, ...] = ()

    @property
    def rewrite(self) -> str:
        """The prompt with its subject."""
        return self.prompt.replace(SLOT, self.subject)

    @property
    def plus_neighbors(self) -> tuple[str, ...]:
        """CounterFact+: the neighbors' prompts after the fact that is edited in."""
        return tuple(f"{self.rewrite} {self.target_new}. {prompt}" for prompt in self.neighbors)

    def key(self) -> str:
        """SHA-256 (hex) of what it says, whatever its number."""
        said = {name: value for name, value in dataclasses.asdict(self).items() if name != "case_id"}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ReadCases:
    """Records of a file."""

    cases: list[EditCase]
    refused: pl.DataFrame
    """See `REFUSED_SCHEMA`."""


def read_cases(path: Path) -> ReadCases:
    """Read a JSON array of records, packed by gzip or not.

    Raises:
        ValueError: The file cannot be read, or is no array with an object in it.
    """
    try:
        records = msgspec.json.decode(plain_bytes(path), type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path.name}: {error}; allowed: a JSON array of records") from None
    if not records:
        raise ValueError(f"{path.name}: no record; allowed: at least one")
    return checked_cases(records)


def checked_cases(records: Iterable[msgspec.Raw | Mapping[str, Any]]) -> ReadCases:
    """Cases of records, and a line for each record that is none: of a number or a content that came before, too."""
    cases: list[EditCase] = []
    refused: list[tuple[int, str | None, str]] = []
    numbers: set[int] = set()
    places: dict[str, int] = {}
    for place, record in enumerate(records):
        said: Any = None
        try:
            said = msgspec.json.decode(record) if isinstance(record, msgspec.Raw) else record
            case = _case(said, place)
            if case.case_id in numbers:
                raise ValueError(f"case_id: {case.case_id} occurs twice; allowed: once")
            if (before := places.setdefault(case.key(), place)) != place:
                raise ValueError(f"says the same as record {before}; allowed: each case once")
            numbers.add(case.case_id)
            cases.append(case)
        except (ValueError, RecursionError) as error:
            name = said.get("case_id") if isinstance(said, Mapping) else None
            problem = str(error).replace(f"text matching regex {_NOT_BLANK!r}", "text that is not blank")
            refused.append((place, None if name is None else str(name), f"record {place}: {problem}"))
    return ReadCases(cases, pl.DataFrame(refused, schema=REFUSED_SCHEMA, orient="row"))


class _Target(msgspec.Struct, frozen=True):
    str: _Words


class _Rewrite(msgspec.Struct, frozen=True):
    prompt: _Words
    subject: _Words
    target_new: _Target
    target_true: _Target
    relation_id: str = ""


class _CounterFact(msgspec.Struct, frozen=True):
    case_id: _Id
    requested_rewrite: _Rewrite
    paraphrase_prompts: _Prompts
    neighborhood_prompts: _Prompts
    attribute_prompts: _Prompts = ()
    generation_prompts: _Prompts = ()


class _ZsRE(msgspec.Struct, frozen=True):
    subject: _Words
    src: _Words
    alt: _Words
    answers: Annotated[tuple[_Words, ...], msgspec.Meta(min_length=1)]
    rephrase: _Words
    loc: _Words
    loc_ans: _Words
    case_id: _Id | None = None


def _case(said: Any, place: int) -> EditCase:
    if not isinstance(said, Mapping):
        raise ValueError(f"{str(said)[:60]!r} is not allowed; allowed: an object")
    if "requested_rewrite" in said:
        case = _of_counterfact(converted(said, _CounterFact, ""))
    elif "src" in said:
        case = _of_zsre(converted(said, _ZsRE, ""), place)
    else:
        raise ValueError("requested_rewrite: missing; allowed: a record of CounterFact, or one of zsRE (with src)")
    if case.target_new == case.target_true:
        raise ValueError(f"target_new: {case.target_new!r} is also target_true; allowed: another")
    return case


def _of_counterfact(record: _CounterFact) -> EditCase:
    rewrite = record.requested_rewrite
    if rewrite.prompt.count(SLOT) != 1:
        allowed = "a sentence with one {} where its subject stands"
        raise ValueError(f"requested_rewrite.prompt: {rewrite.prompt[:60]!r} is not allowed; allowed: {allowed}")
    true = rewrite.target_true.str.strip()
    return EditCase(
        case_id=record.case_id,
        relation=rewrite.relation_id,
        subject=rewrite.subject.strip(),
        prompt=rewrite.prompt.rstrip(),
        target_true=true,
        target_new=rewrite.target_new.str.strip(),
        paraphrases=_ended(record.paraphrase_prompts),
        neighbors=_ended(record.neighborhood_prompts),
        neighbor_target=true,
        attributes=_ended(record.attribute_prompts),
        generation_prompts=_ended(record.generation_prompts),
    )


def _of_zsre(record: _ZsRE, place: int) -> EditCase:
    subject = record.subject.strip()
    if subject not in record.src or SLOT in record.src:
        allowed = f"a question with its subject, {subject[:40]!r}, in it"
        raise ValueError(f"src: {record.src[:60]!r} is not allowed; allowed: {allowed}")
    question = record.loc.strip()
    return EditCase(
        case_id=place if record.case_id is None else record.case_id,
        relation="",
        subject=subject,
        prompt=record.src.strip().replace(subject, SLOT, 1),
        target_true=record.answers[0].strip(),
        target_new=record.alt.strip(),
        paraphrases=_ended((record.rephrase,)),
        neighbors=(question if question.endswith("?") else f"{question}?",),
        neighbor_target=record.loc_ans.strip(),
    )


def _ended(prompts: Iterable[str]) -> tuple[str, ...]:
    """Without blanks at the end: the blank before an object is the object's."""
    return tuple(prompt.rstrip() for prompt in prompts)
