"""W1 from files: the engine reads a data set's CSV or Parquet files itself, into a second, empty place.

W1 proper, whose rows the client has in memory, is `system_workloads`' business, and so is the check of every row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tracebank_benchmarks.tsdb.data_files import files
from tracebank_benchmarks.tsdb.engine import FileForm, UnsupportedError
from tracebank_benchmarks.tsdb.journal import Measures
from tracebank_benchmarks.tsdb.measurement import timed_call
from tracebank_benchmarks.tsdb.system_workloads import checked_load, load_seconds, note_load
from tracebank_benchmarks.tsdb.worker import EngineAbsent, EngineDied, EngineFailed, EngineTimeout
from tracebank_schemas.tsdb_benchmark import TABLES

if TYPE_CHECKING:
    from tracebank_benchmarks.tsdb.station import Station

TEXT: Final = "W1-csv"
PARQUET: Final = "W1-parquet"


def load_text(station: Station) -> None:
    """W1-csv: load text files, in the one form of text that the engine reads."""
    _load(station, TEXT)


def load_parquet(station: Station) -> None:
    """W1-parquet: load Parquet files."""
    _load(station, PARQUET)


def _load(station: Station, workload: str) -> None:
    """Load both tables into an engine of its own and check every row; whatever goes wrong is noted, not raised."""
    kept, prepared = station.worker, set(station.prepared)
    station.worker = None
    try:
        station.worker = station.opened("files")
        station.prepared.clear()
        form = station.call("text_form") if workload == TEXT else FileForm.PARQUET
        station.call("accept", form)  # before files are made in vain
        station.decide(workload, *_loaded(station, workload, form))
    except UnsupportedError as error:
        station.decide(workload, "unsupported", str(error))
    except EngineTimeout as error:
        station.decide(workload, "timeout", str(error))
    except (EngineAbsent, EngineFailed, EngineDied, OSError) as error:
        station.decide(workload, "error", str(error))
    finally:
        station.close()
        station.worker, station.prepared = kept, prepared


def _loaded(station: Station, workload: str, form: FileForm) -> tuple[str, str]:
    """Status and reason; the figures are noted where all rows are there."""
    setting, loads, size = station.setting, [], 0
    for table in TABLES:
        paths = files(setting.data, table, form, station.lane)
        size += sum(path.stat().st_size for path in paths)
        loads.append(
            timed_call(
                setting.watch,
                station.roots,
                lambda name=table.name, paths=paths: station.load(  # type: ignore[misc]
                    "load_files", name, paths, form
                ),
                load_seconds,
                lambda loaded: loaded.cpu_seconds,
            )
        )
    status, reason = checked_load(station, [found for found, _ in loads])
    if status not in ("verified", "partial"):
        return status, reason
    note_load(station, workload, loads)
    seconds = sum(load_seconds(found) for found, _ in loads)
    values = {"file_bytes": float(size), "file_megabytes_per_second": size / 1e6 / seconds if seconds else 0.0}
    setting.journal.note(Measures(station.engine, station.lane.value, workload, values))
    said = "line protocol, the only text that the engine reads" if form is FileForm.LINES else ""
    return status, "; ".join(part for part in (said, reason) if part)
