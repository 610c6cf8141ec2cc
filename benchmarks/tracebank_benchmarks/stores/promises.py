"""What the stores shall do, each as a figure held against what is wanted of it.

Each is measured in a process of its own, on a home of its own, and ended where it takes too long: what hangs or leaks
takes nothing else with it. How they are measured stands in `promise_figures` and `crowds`.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
from rich.table import Table

from tracebank_benchmarks.stores.timing import used_by_owners
from tracebank_benchmarks.tsdb.measurement import LoadWatch

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Promise:
    """One row of the table."""

    name: str
    """As `--only` takes it, and the name of its function in `promise_figures` or `crowds`."""
    what: str
    wanted: str
    shown: Callable[[Values], str]
    met: Callable[[Values], bool]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was measured of a promise."""

    promise: Promise
    values: Values = field(default_factory=dict)
    reason: str = ""
    """Why it was not measured."""
    ended: bool = True
    """Whether it came to its end in time."""
    foreign_share: float = 0.0

    @property
    def met(self) -> bool | None:
        """None where nothing was measured."""
        if self.reason:
            return None
        return self.ended and self.promise.met(self.values)

    @property
    def figure(self) -> str:
        """What was found, in words."""
        if not self.ended:
            return str(self.values["fault"])
        return self.reason or self.promise.shown(self.values)


def milliseconds(values: Values, name: str = "") -> str:
    """p50 and p95 of a timing."""
    return f"{1e3 * values[f'{name}p50']:.1f} / {1e3 * values[f'{name}p95']:.1f} ms"


def _crowd(values: Values) -> str:
    faults = f"; {values['faults']} faults, first: {values['first_fault']}" if values["faults"] else ""
    return f"{values['done']} of {values['asked']} done in {values['seconds']:.0f} s{faults}"


def _fair(values: Values) -> bool:
    """All done, none failed, and none waited much longer than others."""
    whole = values["done"] == values["asked"] and not values["faults"]
    return whole and math.isfinite(values["p95"]) and values["p95"] <= 10 * values["p50"]


PROMISES: Final = (
    Promise(
        "query", "one embedded query; at 1,000 partitions", "p50 <= 20 ms, at any number",
        lambda v: f"{milliseconds(v, 'one_')}; {milliseconds(v, 'many_')}",
        lambda v: max(v["one_p50"], v["many_p50"]) <= 0.020,
    ),
    Promise(
        "command", 'tracebank sql "select 1", whole process', "<= 0.8 CPU s, with an owner",
        lambda v: f"{v['cpu_seconds']:.2f} CPU s, {v['seconds']:.2f} s, {v['peak_bytes'] / 1e6:.0f} MB",
        lambda v: bool(v["cpu_seconds"] <= 0.8),
    ),
    Promise(
        "readers", "10 readers beside one another: queries", "all done, p95 <= 10 x p50",
        lambda v: f"{_crowd(v)}; {milliseconds(v)}",
        _fair,
    ),
    Promise(
        "storm", "8 ingests beside 8 readers: all; queries", "all done, p95 <= 10 x p50",
        lambda v: f"{_crowd(v)}; {milliseconds(v)}",
        _fair,
    ),
    Promise(
        "handles", "file handles and threads over queries in one process", "flat over 10,000 queries",
        lambda v: f"handles {v['handles'][0]} -> {v['handles'][1]}, threads {v['threads'][0]} -> {v['threads'][1]}"
        f" over {v['queries']:,}",
        lambda v: max(v["handles"][1] - v["handles"][0], v["threads"][1] - v["threads"][0]) <= 5
        and v["queries"] >= v["asked"],
    ),
    Promise(
        "replace", "replace 20 rows among 1,000 partitions, embedded", "<= 0.1 s",
        milliseconds, lambda v: bool(v["p50"] <= 0.1),
    ),
    Promise(
        "postgresql", "replace 1,000 rows in a PostgreSQL table of 6 M", "<= 0.1 s",
        lambda v: f"{milliseconds(v)}, {v['rows'] / 1e6:g} M rows", lambda v: bool(v["p50"] <= 0.1),
    ),
    Promise(
        "lookup", "key look-up in a relational.* view of 1 M rows", "<= 20 ms",
        lambda v: f"{milliseconds(v)}, {v['rows'] / 1e6:g} M rows", lambda v: bool(v["p50"] <= 0.020),
    ),
)  # fmt: skip
BY_NAME: Final = {promise.name: promise for promise in PROMISES}


def measured(promise: Promise, options: Values, seconds: float) -> Finding:
    """Measure one in a process of its own, which is ended after so many seconds with all that it started."""
    watch = LoadWatch()
    with tempfile.TemporaryDirectory(prefix="tb-", ignore_cleanup_errors=True) as home:
        process = subprocess.Popen(
            _started(promise, options, seconds, home),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | {"TRACEBANK_HOME": home, "TRACEBANK_SERIES_URL": "", "TRACEBANK_RELATIONAL_URL": ""},
        )
        before = watch.look()
        try:
            out, errors = process.communicate(timeout=seconds + GRACE)
        except subprocess.TimeoutExpired:
            out, errors = "", ""
        after, served = watch.look(), used_by_owners(Path(home))
        _end(process)
    # What the process and those that it waited for used is this process's own by now; an owner of the store is not.
    share = watch.foreign_share(before, after) - served / max(after.wall - before.wall, 0.01) / (
        psutil.cpu_count() or 1
    )
    return _found(promise, out, errors, process.returncode, seconds, max(0.0, share))


def _started(promise: Promise, options: Values, seconds: float, home: str) -> list[str]:
    module = "tracebank_benchmarks.stores.promise_figures"
    return [sys.executable, "-m", module, promise.name, json.dumps(options), str(seconds), home]


GRACE: Final = 30.0
"""Seconds that a process has beyond its time to tell what it found."""


def _found(promise: Promise, out: str, errors: str, code: int | None, seconds: float, foreign: float) -> Finding:
    lines = out.strip().splitlines()
    if code == 0 and lines:
        found = json.loads(lines[-1])
        return Finding(promise, found.get("values", {}), found.get("reason", ""), True, foreign)
    told = errors.strip().splitlines()[-1:] or [f"it did not end within {seconds:g} s"]
    return Finding(promise, {"fault": told[0][:200]}, "", False, foreign)


def _end(process: subprocess.Popen[str]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        time.sleep(0.5)
    process.wait()


def promises_table(findings: Iterable[Finding], options: Values) -> Table:
    """What, the figure, what is wanted, whether it is met, and how much of the machine others used meanwhile.

    Args:
        findings: the rows.
        options: those that are not as they are by default, for the note below.
    """
    note = "Times are p50 / p95." + (f" Asked for other sizes: {json.dumps(options)}" if options else "")
    table = Table("what", "figure", "wanted", "met", "others", width=80, caption=note)
    for one in findings:
        met = {True: "yes", False: "no", None: "–"}[one.met]
        table.add_row(one.promise.what, one.figure, one.promise.wanted, met, f"{one.foreign_share:.0%}")
    return table
