"""Query texts: `<family>/<workload>.<suffix>`, each in its engine's own language; here they are only found."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def text(family: str, workload_id: str) -> str | None:
    """Return the text of a workload in an engine family's language, or None where there is none.

    Args:
        family: Folder of the texts: clickhouse, duckdb, postgresql, timescaledb, influxql, flux, influxdb3, q.
        workload_id: Id of the workload, e.g. R1.
    """
    folder = files(__package__).joinpath(family)
    if not folder.is_dir():
        return None
    found = [entry for entry in folder.iterdir() if entry.name.rpartition(".")[0] == workload_id]
    return found[0].read_text(encoding="utf-8") if found else None
