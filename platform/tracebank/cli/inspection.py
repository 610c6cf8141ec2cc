"""Looking at what this installation has: the checks behind `tracebank doctor`. Looking changes nothing but the ledger,
where what a killed write left pending is settled or dropped.

Other packages add their checks by entry points of the group `tracebank.doctor`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from tracebank.settings import Settings

_PACKAGES: Final = {
    "chdb": "",
    "clickhouse-connect": "",
    "polars": "",
    "dagster": "",
    "torch": "for models: pip install 'tracebank[models]'",
    "transformers": "for models: pip install 'tracebank[models]'",
    "duckdb": "for a series store in DuckDB, and for the database benchmark: pip install 'tracebank[tsdb]'",
    "pykx": "for kdb+ in the database benchmark: pip install 'tracebank[tsdb]'",
}
_SERVERS: Final = {
    "postgres": "a server for TRACEBANK_RELATIONAL_URL; SQLite serves where there is none",
    "clickhouse": "a server for TRACEBANK_SERIES_URL; the engine in process serves where there is none",
    "influxd": "only the database benchmark uses it",
    "q": "only the database benchmark uses it, with a kdb+ licence",
}
_SCARCE: Final = 5 * 2**30
_SHOWN: Final = 10
"""Most partitions that are shown one by one."""

GROUP: Final = "tracebank.doctor"
"""Entry points: a section's name -> a function of the settings that yields `Finding`s."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    state: Literal["ok", "missing", "broken"]
    detail: str
    advice: str = ""
    version: str = ""
    edition: str = ""
    licence: str = ""
    section: str = "platform"
    """Under which heading it is shown."""


def inspect(settings: Settings) -> list[Finding]:
    """Everything, in the order in which it matters."""
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _machine,
        _series,
        _relational,
        _ledger,
        _files,
        _devices,
        _packages,
        _servers,
    )
    return [finding for check in (*checks, _others) for finding in check(settings)]


def _others(settings: Settings) -> Iterator[Finding]:
    """What other packages look at. One that cannot be loaded, or fails, does not hide the rest."""
    for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: point.name):
        try:
            yield from point.load()(settings)
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            yield Finding(
                point.name, "broken", f"{point.value} failed: {reason}", "see its package", section=point.name
            )


def _machine(settings: Settings) -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores")
    home = settings.home
    standing = next(folder for folder in (home, *home.parents) if folder.exists())
    if not os.access(standing, os.W_OK):
        yield Finding("home", "broken", f"{home} cannot be written", "set TRACEBANK_HOME to a folder of yours")
        return
    free = shutil.disk_usage(standing).free
    advice = "free some space, or set TRACEBANK_HOME elsewhere" if free < _SCARCE else ""
    yield Finding("home", "ok", f"{home}, {free / 2**30:.1f} GiB free", advice)


def _series(settings: Settings) -> Iterator[Finding]:
    from tracebank.stores.faults import StoreError
    from tracebank.stores.opening import open_series

    shown = settings.series.render_as_string()
    if settings.series.drivername == "chdb" and not Path(str(settings.series.database)).exists():
        yield Finding("series store", "missing", f"{shown}: not made yet", "run 'tracebank db upgrade'")
        return
    store = open_series(settings)
    try:
        info, damage = store.info(), store.damage()
    except StoreError as error:
        yield Finding("series store", "broken", str(error), "see TRACEBANK_SERIES_URL")
        return
    detail = f"{info.engine} {info.version}, {info.edition}, {shown}"
    yield Finding("series store", "ok", detail, version=info.version, edition=info.edition)
    for entry in damage:
        advice = "materialise it again, or give the rows up by 'tracebank db repair'"
        yield Finding("series rows", "broken", str(entry), advice)


def _relational(settings: Settings) -> Iterator[Finding]:
    from tracebank.stores.faults import StoreError
    from tracebank.stores.opening import open_relational

    shown = settings.relational.render_as_string()
    if settings.relational.drivername == "sqlite" and not Path(str(settings.relational.database)).exists():
        yield Finding("relational store", "missing", f"{shown}: not made yet", "run 'tracebank db upgrade'")
        return
    store = open_relational(settings)
    try:
        info = store.info()
    except StoreError as error:
        yield Finding("relational store", "broken", str(error), "see TRACEBANK_RELATIONAL_URL")
        return
    finally:
        store.close()
    yield Finding("relational store", "ok", f"{info.engine} {info.version}, {shown}", version=info.version)


def _ledger(settings: Settings) -> Iterator[Finding]:
    """What the ledger says beside the rows that stand; what killed writers left pending is settled or dropped."""
    from tracebank.ledger import Ledger
    from tracebank.stores.faults import StoreError
    from tracebank.stores.opening import open_relational, open_series

    embedded = [url.database for url in (settings.series, settings.relational) if not url.host]
    if not all(Path(str(path)).exists() for path in embedded):
        return  # the findings of the stores say so
    relational = open_relational(settings)
    try:
        ledger = Ledger(relational, open_series(settings))
        judged, found = ledger.recover(), ledger.compare()
    except StoreError as error:
        yield Finding("ledger", "broken", str(error), "see the stores above, then 'tracebank db upgrade'")
        return
    finally:
        relational.close()
    for one in judged:
        what = "settled: its rows stand" if one.settled else "dropped: its rows do not stand"
        again = "" if one.settled else "materialise it again"
        yield Finding("ledger", "ok", f"{one.asset_key} {one.partition} of a killed run was {what}", again)
    off = [standing for standing in found if not standing.agrees]
    for other in off[:_SHOWN]:
        detail = (
            f"{other.asset_key} {other.partition}: {other.told:,} rows in the ledger, {other.stands:,} in {other.table}"
        )
        yield Finding("ledger", "broken", detail, "materialise it again")
    more = f"; {len(off) - _SHOWN} more differ" if len(off) > _SHOWN else ""
    agree = f"{len(found) - len(off)} of {len(found)} partitions hold the rows that the ledger tells of{more}"
    yield Finding("ledger", "broken" if more else "ok", agree)


def _files(settings: Settings) -> Iterator[Finding]:
    """Rows whose files are not there; market files may go once they are loaded."""
    from tracebank.garbage import missing_files
    from tracebank.stores.faults import StoreError
    from tracebank.stores.opening import open_relational

    if not settings.relational.host and not Path(str(settings.relational.database)).exists():
        return
    relational = open_relational(settings)
    try:
        with relational.reading() as session:
            named, gone = missing_files(session)
    except StoreError:
        return  # the findings of the stores say so
    finally:
        relational.close()
    for path, table in sorted(gone.items())[:_SHOWN]:
        yield Finding("files", "broken", f"{path} of relational.{table} is not there", "materialise it again")
    more = f"; {len(gone) - _SHOWN} more are not" if len(gone) > _SHOWN else ""
    yield Finding("files", "broken" if more else "ok", f"{named - len(gone)} of {named} named in rows are there{more}")


def _devices(settings: Settings) -> Iterator[Finding]:
    if importlib.util.find_spec("torch") is None:
        yield Finding("device", "missing", "torch is not installed", "for models: pip install 'tracebank[models]'")
        return
    import torch

    names = ["cpu"]
    if torch.backends.mps.is_available():
        names.insert(0, "mps")
    for index in reversed(range(torch.cuda.device_count())):
        memory = torch.cuda.get_device_properties(index).total_memory / 2**30
        names.insert(0, f"cuda:{index} {torch.cuda.get_device_name(index)} {memory:.0f} GiB")
    wanted = settings.device
    available = wanted == "auto" or any(name.startswith(wanted) for name in names)
    state: Literal["ok", "broken"] = "ok" if available else "broken"
    yield Finding(
        "device", state, f"TRACEBANK_DEVICE={wanted}; here: {', '.join(names)}", "" if available else "use auto"
    )


def _packages(_settings: Settings) -> Iterator[Finding]:
    for name, advice in _PACKAGES.items():
        try:
            yield Finding(f"package {name}", "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(f"package {name}", "missing", "not installed", advice)


def _servers(_settings: Settings) -> Iterator[Finding]:
    for name, advice in _SERVERS.items():
        path = shutil.which(name) or next(map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None)
        yield (
            Finding(f"program {name}", "ok", path)
            if path
            else Finding(f"program {name}", "missing", "not on PATH", advice)
        )
