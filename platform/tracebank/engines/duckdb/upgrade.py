"""What `tracebank db upgrade` does for DuckDB beside its tables: nothing, since a query brings its own views along."""

from __future__ import annotations

from typing import Any


def completed(*_: Any) -> dict[str, str]:
    """Nothing to add to the status."""
    return {}
