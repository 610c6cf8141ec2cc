"""What Alembic runs: migrations on the connection that the caller hands over, in its transaction."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context

from tracebank_schemas.catalogue import METADATA
from tracebank_schemas.relational import HomePath, TokenText, UtcDateTime


def _render(kind: str, item: Any, autogenerate: Any) -> str | Literal[False]:
    if kind == "type" and isinstance(item, UtcDateTime):
        autogenerate.imports.add("from tracebank_schemas.relational import UtcDateTime")
        return "UtcDateTime()"
    if kind == "type" and isinstance(item, HomePath | TokenText):
        return "sa.Text()"  # what they say goes in and out otherwise; the column is text
    return False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=METADATA,
    compare_type=True,
    render_as_batch=connection.dialect.name == "sqlite",
    render_item=_render,
)
with context.begin_transaction():
    context.run_migrations()
