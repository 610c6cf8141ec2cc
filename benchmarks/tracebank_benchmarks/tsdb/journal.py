"""What a run has done so far, one JSON line per fact, appended at once: a run that stops goes on from there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import msgspec

Key = tuple[str, str, str]
"""Engine, lane, workload."""


class Sample(msgspec.Struct, tag="sample", frozen=True):
    """One execution whose answer was right, or one load."""

    engine: str
    lane: str
    workload: str
    kind: str
    """cold, warm or load."""
    ts: datetime
    seconds: float
    cpu_seconds: float
    harness_seconds: float
    foreign_share: float
    disturbed: bool
    rows: int
    bytes: int


class Verdict(msgspec.Struct, tag="verdict", frozen=True):
    """Why a workload has, or has no, times: final for the run."""

    engine: str
    lane: str
    workload: str
    status: str
    reason: str


class Text(msgspec.Struct, tag="text", frozen=True):
    """What was asked in the engine's own language."""

    engine: str
    lane: str
    workload: str
    hash: str
    text: str
    partial: str


class Measures(msgspec.Struct, tag="measures", frozen=True):
    """More figures of a workload."""

    engine: str
    lane: str
    workload: str
    values: dict[str, float]


class EngineNote(msgspec.Struct, tag="engine", frozen=True):
    """What an engine was, or why it was not measured."""

    engine: str
    lane: str
    facts: dict[str, Any]


Fact = Sample | Verdict | Text | Measures | EngineNote


@dataclass(slots=True)
class Case:
    """One workload on one engine in one lane, as far as it has come."""

    key: Key
    samples: list[Sample] = field(default_factory=list)
    verdict: Verdict | None = None
    text: Text | None = None
    measures: dict[str, float] = field(default_factory=dict)

    def of(self, kind: str) -> list[Sample]:
        """Samples of one kind, in order."""
        return [sample for sample in self.samples if sample.kind == kind]


class Journal:
    """The file, and what it says. A last line that was cut short by a crash is left out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.cases: dict[Key, Case] = {}
        self.engines: dict[tuple[str, str], dict[str, Any]] = {}
        self._encoder = msgspec.json.Encoder()
        for fact in self._read():
            self._take(fact)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")

    def _read(self) -> Iterator[Fact]:
        if not self._path.exists():
            return
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            self._path.write_bytes(whole)
        decoder = msgspec.json.Decoder(Fact)
        for line in whole.splitlines():
            yield decoder.decode(line)

    def note(self, fact: Fact) -> None:
        """Append a fact; it is with the operating system when this returns."""
        self._file.write(self._encoder.encode(fact) + b"\n")
        self._file.flush()
        self._take(fact)

    def case(self, key: Key) -> Case:
        """What is known of a workload on an engine in a lane."""
        return self.cases.setdefault(key, Case(key))

    def _take(self, fact: Fact) -> None:
        if isinstance(fact, EngineNote):
            self.engines[fact.engine, fact.lane] = fact.facts
            return
        case = self.case((fact.engine, fact.lane, fact.workload))
        if isinstance(fact, Sample):
            case.samples.append(fact)
        elif isinstance(fact, Verdict):
            case.verdict = fact
        elif isinstance(fact, Text):
            case.text = fact
        else:
            case.measures.update(fact.values)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
