"""What `tracebank doctor` tells of the suite's engines: whether each can be measured here, and what to do if not."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Final

from tracebank.cli.inspection import Finding
from tracebank.settings import Settings
from tracebank_benchmarks.tsdb import servers
from tracebank_benchmarks.tsdb.engine import EngineState
from tracebank_benchmarks.tsdb.engines import ENGINES, engine, state

SECONDS: Final = 6.0
"""That all engines together may take to answer."""

LICENCES: Final = {
    "clickhouse_embedded": "Apache-2.0",
    "clickhouse": "Apache-2.0",
    "duckdb": "MIT",
    "polars": "MIT",
    "postgresql": "PostgreSQL Licence",
    "timescaledb": "Timescale Licence with the columnstore, Apache-2.0 without (timescaledb.license tells)",
    "influxdb1": "MIT",
    "influxdb2": "MIT",
    "influxdb3": "MIT or Apache-2.0 (Core), commercial (Enterprise)",
    "kdb": "commercial; KDB-X Community Edition is free after registration",
}
"""Terms of each engine's own licence."""

_STARTS: Final = {
    "clickhouse": "docker/clickhouse.yaml starts one",
    "postgresql": "'.ci/postgres serve FOLDER PORT' starts one",
    "timescaledb": "docker/timescaledb.yaml or '.ci/timescaledb serve FOLDER PORT' starts one",
    "influxdb1": "'.ci/influxdb start FOLDER PORT' starts one",
    "influxdb2": "docker/influxdb.yaml starts one",
    "influxdb3": "docker/influxdb.yaml starts one",
    "kdb": "docker/kdb.yaml starts one",
}


def findings(_settings: Settings) -> Iterator[Finding]:
    """Every engine of the suite, in the suite's order; takes `SECONDS` at most."""
    servers.read_env_file()
    # A client's complaint of a server that does not answer is the finding, and not to be said twice.
    logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
    for name in ENGINES:  # threads that import the same modules may wait for each other
        with suppress(ImportError):
            engine(name)
    pool = ThreadPoolExecutor(len(ENGINES), thread_name_prefix="tracebank-doctor")
    try:
        # q in process works in the main thread alone.
        asked = {name: pool.submit(_asked, name) for name in ENGINES if name != "kdb"}
        kdb = _asked("kdb")
        wait(asked.values(), timeout=SECONDS)
        for name in ENGINES:
            yield _finding(name, kdb if name == "kdb" else _answer(asked[name]))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _answer(future: Future[EngineState]) -> EngineState:
    if not future.done():
        return EngineState(False, reason=f"did not answer within {SECONDS:g} s")
    return future.result()


def _asked(name: str) -> EngineState:
    """What does not speak the engine's protocol may raise anything at all; it must not hide the other engines."""
    try:
        return state(name)
    except Exception as error:
        return EngineState(False, reason=" ".join(f"{type(error).__name__}: {error}".split())[:300])


def _finding(name: str, found: EngineState) -> Finding:
    licence = _kdb_licence() if name == "kdb" else LICENCES[name]
    told = {"version": found.version, "edition": found.edition, "licence": licence, "section": "engines"}
    if found.available:
        return Finding(f"engine {name}", "ok", f"{found.version}, {found.edition}; {licence}", **told)
    # A server that was named and does not answer is a fault; one that nobody named is merely not there.
    asked_for = any(os.environ.get(variable) for variable in servers.names(name)[:1])
    return Finding(f"engine {name}", "broken" if asked_for else "missing", found.reason, _advice(name), **told)


def _advice(name: str) -> str:
    variables = servers.VARIABLES.get(name, {})
    if not variables:
        return "pip install 'tracebank[tsdb]'"
    first, form = next(iter(variables.items()))
    return f"{servers.PREFIX}{first}={form.partition(' (')[0].partition(';')[0]}; {_STARTS[name]}"


def _kdb_licence() -> str:
    folders = [Path(os.environ[name]) for name in ("QLIC", "QHOME") if os.environ.get(name)] + [Path.home() / ".kx"]
    files = [folder / name for folder in folders for name in ("kc.lic", "kx.lic", "k4.lic")]
    found = [str(path) for path in files if path.exists()]
    found += [name for name in ("KDB_LICENSE_B64", "KDB_K4LICENSE_B64") if os.environ.get(name)]
    return f"{LICENCES['kdb']}; here: {found[0] if found else 'none'}"
