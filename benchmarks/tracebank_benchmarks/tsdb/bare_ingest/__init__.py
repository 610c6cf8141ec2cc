"""How close our ingest comes to a bare client: each engine's fastest documented path, written straight on its client,
beside `Session.load`, in one run.

The bare paths import no store and no session: of the platform they take only the statements that make a table, so that
both sides fill the same layout.
"""

from __future__ import annotations
