"""One engine in one lane during a run: started, loaded, asked; and what becomes of a case when it fails."""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tracebank_benchmarks.tsdb import system_workloads
from tracebank_benchmarks.tsdb.answers import Reference
from tracebank_benchmarks.tsdb.data_set import DataSet
from tracebank_benchmarks.tsdb.engine import UnsupportedError
from tracebank_benchmarks.tsdb.journal import Case, EngineNote, Journal, Measures, Sample, Text, Verdict
from tracebank_benchmarks.tsdb.measurement import WARM_UPS, LoadWatch, enough, peers, timed_call
from tracebank_benchmarks.tsdb.plan import Plan
from tracebank_benchmarks.tsdb.results import LIMIT_SECONDS, ROWS_ASKED, UNMEASURED
from tracebank_benchmarks.tsdb.schedule import BURST, BURST_SECONDS, MOST_BURST, SLOW_SECONDS, Budget, MinutesEnded
from tracebank_benchmarks.tsdb.worker import (
    EngineAbsent,
    EngineDied,
    EngineFailed,
    EngineOverran,
    EngineTimeout,
    Execution,
    Worker,
)
from tracebank_benchmarks.tsdb.workloads import Lane

MOST_STARTS: Final = 3
"""An engine that died or hung is started and loaded again; after so many starts it is given up."""
_LEAST_PATIENCE: Final = 0.5
"""Seconds that an engine has to answer in, even when the minutes are over."""
FAILURES: Final = (EngineFailed, EngineDied, EngineTimeout)
"""What an engine may do wrong."""


class WrongAnswer(Exception):
    """An engine's answer is not the right one; the message says where."""


@dataclass(slots=True)
class Setting:
    """What all stations of a run share."""

    plan: Plan
    data: DataSet
    references: dict[str, Reference]
    journal: Journal
    watch: LoadWatch
    budget: Budget
    folder: Path
    point_seconds: float = 0.0
    """How long each point of the workloads of several clients lasts."""


@dataclass(slots=True)
class Station:
    """An engine in a lane."""

    engine: str
    lane: Lane
    reference: str
    """Its class, as module:class."""
    setting: Setting
    starts: int = 0
    worker: Worker | None = None
    roots: list[int] = field(default_factory=list)
    """First processes of its servers."""
    server_cpu_before: float = 0.0
    """Seconds that they had used when they were found."""
    prepared: set[str] = field(default_factory=set)
    loaded_in: float = 0.0
    """Seconds from its start until its load had been checked."""
    given_up: str = ""
    """Why nothing more is asked of it."""

    def start(self) -> None:
        """Start the engine and load the data. Faults are noted, not raised: the other engines go on."""
        self.starts += 1
        self.prepared.clear()
        began = time.monotonic()
        try:
            self.note({"absent": "", "failed": ""})
            self.worker = self.opened("data")
            facts = self.call("describe")
            self.note({**facts, "ddl_hash": hashlib.sha256(facts["ddl"].encode()).hexdigest()[:16]})
            self.find_servers()
            system_workloads.load(self)
            self.loaded_in = time.monotonic() - began
        except EngineAbsent as error:
            if self.starts > 1:  # it was here when the run began
                self._fail(f"it has ended and cannot be started again: {error}")
                return
            self.given_up = f"not to be had here: {error}"
            self.note({"absent": str(error)})
        except UnsupportedError as error:
            for workload in self.setting.plan.workloads:
                self.decide(workload, "unsupported", f"the data cannot be loaded: {error}")
            self.given_up = str(error)
            self.close()
        except MinutesEnded:
            self.leave_out()
        except EngineTimeout as error:
            self._fail(f"could not be set up and loaded: {error}", status="timeout")
        except FAILURES as error:
            self._fail(f"could not be set up and loaded: {error}")

    def leave_out(self) -> None:
        """Ask nothing of it, since the run's minutes end before."""
        self._fail(UNMEASURED, status="unmeasured")

    def _fail(self, reason: str, *, status: str = "error") -> None:
        """Ask nothing more of it; what was not measured has this status and reason."""
        self.given_up = reason
        self.note({"failed": reason, "failed_status": status})
        self.close()

    def opened(self, place: str) -> Worker:
        """The engine in a fresh process, empty."""
        folder = self.setting.folder / "work" / f"{self.engine}-{self.lane.value}-{place}"
        shutil.rmtree(folder, ignore_errors=True)
        plan = self.setting.plan
        worker = Worker(
            self.reference, self.lane, folder, timeout=plan.timeout, threads=plan.threads, memory=plan.memory
        )
        self.setting.watch.add_process(worker.pid)
        return worker

    def close(self) -> None:
        """End the engine's process."""
        if self.worker is not None:
            self.worker.close()
            self.worker = None

    def call(self, command: str, *arguments: object, timeout: float | None = None, in_phase: bool = False) -> Any:
        """Ask the engine's process, as long as the run has time.

        Args:
            command: what it shall do.
            arguments: of the command.
            timeout: seconds that it may take; those of an execution unless told.
            in_phase: whether it must end with the run's phase.

        Raises:
            MinutesEnded: it did not answer by then, and was ended.
        """
        if self.worker is None:
            raise EngineDied(self.given_up or "it is not running")
        wanted = timeout or self.setting.plan.timeout
        budget = self.setting.budget
        patience = min(wanted, max(budget.left_in_phase if in_phase else budget.left, _LEAST_PATIENCE))
        try:
            return self.worker.call(command, *arguments, timeout=patience)
        except EngineOverran:
            raise
        except EngineTimeout as error:
            if patience == wanted:
                raise
            self.close()
            raise MinutesEnded(UNMEASURED) from error

    def load(self, command: str, *arguments: object) -> Any:
        """Have the engine's process do what takes as long as a bulk load; raises as `call` does."""
        return self.call(command, *arguments, timeout=self.setting.plan.load_timeout, in_phase=True)

    def note(self, facts: dict[str, Any]) -> None:
        """Add to what the run's record says of this engine."""
        known = self.setting.journal.engines.get((self.engine, self.lane.value), {})
        self.setting.journal.note(EngineNote(self.engine, self.lane.value, {**known, **facts}))

    def find_servers(self) -> None:
        """Know the engine's servers, so that their CPU time is its own."""
        pids = self.call("servers") or (peers(self.worker.pid) if self.worker else [])
        found = {*self.setting.watch.add_servers(pids)} - {*self.roots}
        self.server_cpu_before += self.setting.watch.server_cpu(found)
        self.roots = sorted({*self.roots, *found})

    def done(self, workload: str) -> bool:
        """Whether nothing more is to be asked of a case."""
        case = self.case(workload)
        return bool(self.given_up) or self.worker is None or case.verdict is not None or self._enough(case)

    @staticmethod
    def _enough(case: Case) -> bool:
        warm = case.of("warm")
        return enough([one.seconds for one in warm if not one.disturbed], len(warm))

    def case(self, workload: str) -> Case:
        """What is known of a workload here."""
        return self.setting.journal.case((self.engine, self.lane.value, workload))

    def decide(self, workload: str, status: str, reason: str) -> None:
        """Say finally what a case is."""
        self.setting.journal.note(Verdict(self.engine, self.lane.value, workload, status, reason))

    def visit(self, workload: str) -> None:
        """Take the next samples of a read; whatever the engine does is noted, not raised."""
        began = time.monotonic()
        try:
            self._sample(workload)
        except MinutesEnded:
            return
        except UnsupportedError as error:
            self.decide(workload, "unsupported", str(error))
        except WrongAnswer as error:
            self.decide(workload, "wrong_answer", str(error))
        except EngineFailed as error:
            if gone := self._gone():  # what was measured before stands
                self._fail(f"it has gone in the middle of the run: {gone}")
            else:
                self.decide(workload, "error", str(error))
        except EngineOverran as error:
            own = {LIMIT_SECONDS: time.monotonic() - began}
            self.setting.journal.note(Measures(self.engine, self.lane.value, workload, own))
            self.decide(workload, "timeout", str(error))
        except EngineTimeout as error:
            self.decide(workload, "timeout", str(error))
            self.restart()
        except EngineDied as error:
            self.decide(workload, "error", str(error))
            self.restart()

    def _gone(self) -> str:
        try:
            return str(self.call("gone"))
        except (*FAILURES, MinutesEnded) as error:
            return str(error)

    def restart(self) -> None:
        """Start again after the process has ended, if it is worth it."""
        self.close()
        if self.starts < MOST_STARTS and not self.setting.budget.ended:
            self.start()
            return
        why = f"its process has ended {self.starts} times"
        if self.starts < MOST_STARTS:
            why = "its process ended, and there was no time left to load the data again"
        self._fail(f"{why}; nothing more was asked of it")

    def _sample(self, workload: str) -> None:
        first = self.prepare(workload)
        case = self.case(workload)
        if first and not case.samples and "Q2" in self.setting.plan.workloads:
            if self._made_cold():
                self.execute(workload, workload, "cold")
            else:
                self.note({"cold": "not possible"})
        last = self._warm_up(workload, WARM_UPS if first else 1)
        most = MOST_BURST if case.of("warm") else 1  # the first round has to come round
        spent = 0.0
        for number in range(most):
            if self._enough(case) or self.setting.budget.left_in_phase < last:
                return
            if number >= BURST and spent > BURST_SECONDS:
                return
            last = self.execute(workload, workload, "warm")
            spent += last

    def _made_cold(self) -> bool:
        try:
            return bool(self.call("cold"))
        except UnsupportedError:
            return False

    def _warm_up(self, workload: str, times: int) -> float:
        """Execute without keeping the time; a slow query is warm after one."""
        case, last = self.case(workload), 0.0
        if times == 1 and case.samples and case.samples[-1].seconds > SLOW_SECONDS:
            return last
        for _ in range(times):
            last = self.execute(workload, workload, None)
            if last > SLOW_SECONDS:
                break
        return last

    def prepare(self, name: str, workload: str = "") -> bool:
        """Have the engine's process know a read and its right answer.

        Returns:
            Whether it did not know it yet.

        Raises:
            EngineFailed: there is no right answer to hold it against.
            MinutesEnded: it was not worked out in time.
        """
        if name in self.prepared:
            return False
        reference = self.setting.references.get(name)
        if reference is None:
            raise MinutesEnded(UNMEASURED)
        if reference.fault:
            raise EngineFailed(reference.fault)
        text, partial = self.call("prepare", name, workload or name, reference.parameters, reference.path)
        if not workload:
            digest = hashlib.sha256(text.encode()).hexdigest()[:16]
            self.setting.journal.note(Text(self.engine, self.lane.value, name, digest, text, partial))
            rows = {ROWS_ASKED: float(reference.rows)}
            self.setting.journal.note(Measures(self.engine, self.lane.value, name, rows))
        self.prepared.add(name)
        return True

    def execute(self, name: str, workload: str, kind: str | None) -> float:
        """Execute once; the sample is kept if it is of a kind, and only if the answer is right.

        Raises:
            WrongAnswer: it is not.
        """
        found: Execution
        found, cost = timed_call(
            self.setting.watch,
            self.roots,
            lambda: self.call("execute", name),
            lambda execution: execution.seconds,
            lambda execution: execution.cpu_seconds,
        )
        if found.faults:
            raise WrongAnswer("; ".join(found.faults[:3]))
        if kind is not None:
            self.setting.journal.note(
                Sample(self.engine, self.lane.value, workload, kind, datetime.now(UTC), found.seconds,
                       cost.cpu_seconds, cost.harness_seconds, cost.foreign_share, cost.disturbed,
                       found.rows, found.bytes)
            )  # fmt: skip
        return found.seconds
