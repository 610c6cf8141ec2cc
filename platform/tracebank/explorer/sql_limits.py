"""What a query of the SQL page may take, and how much of its answer is shown; the page says so."""

from __future__ import annotations

from typing import Final

SECONDS: Final = 30.0
"""That a query of the page may take."""
MEMORY: Final = 1 << 30
"""Bytes that the engine may hold for a query, of the page or of an export."""
ROWS: Final = 1_000
"""That the page shows."""
EXPORT_SECONDS: Final = 120.0
EXPORT_BYTES: Final = 2 << 30
"""Of the answer that an export is written from; what is larger is `tracebank sql`'s business."""
