"""Bringing both stores up to what the schemas declare, and telling how far they are."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from argparse import Namespace
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import URL, func, select

from tracebank.stores.faults import StoreError
from tracebank.stores.new_keys import move_to_new_keys
from tracebank.tables.drift import Difference
from tracebank_schemas.catalogue import METADATA, TABLES

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tracebank.stores.relational import RelationalStore
    from tracebank.stores.series_store import SeriesStore

_UPGRADE_LOCK: Final = 0x7472616365  # "trace"
"""PostgreSQL's advisory lock that one upgrade at a time holds."""


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """How the standing stores compare with the declarations."""

    revision: str | None
    """Migration that the relational store stands at; None before the first."""
    head: str
    """Newest migration."""
    relational: list[str]
    """Differences between models and relational tables, a line each."""
    series: list[Difference]
    """Differences between declarations and series tables."""
    activations: str = ""
    """Why the upgrade made no `series.activations`; empty where it did, or where the engine never has one."""
    remarks: tuple[str, ...] = ()
    """What the upgrade could not do about who reads, a line each."""

    @property
    def current(self) -> bool:
        """True when nothing differs."""
        return self.revision == self.head and not self.relational and not self.series


def _config(connection: Connection | None = None) -> Config:
    config = Config(cmd_opts=Namespace(quiet=True))
    config.set_main_option("script_location", "tracebank_schemas:migrations")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


def revision(message: str) -> Path | None:
    """Write the migration from the newest revision to what the models declare, for whoever changed a model.

    Nothing of the user's is touched: the newest revision is made in a database of its own, and compared there.

    Returns:
        The new file, beside those that are there; None where models and migrations agree.

    Raises:
        OSError: the folder of the migrations cannot be written, as in an installed package.
    """
    from tracebank.stores.relational import RelationalStore

    newest = ScriptDirectory.from_config(_config()).get_current_head() or "0000"
    with tempfile.TemporaryDirectory(prefix="tracebank-") as folder:
        store = RelationalStore(URL.create("sqlite", database=f"{folder}/newest.db"))
        try:
            with store.connection() as connection:
                command.upgrade(_config(connection), "head")
            with store.connection() as connection:
                if not compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA):
                    return None
                made = command.revision(
                    _config(connection), message, autogenerate=True, rev_id=f"{int(newest) + 1:04d}"
                )
        finally:
            store.close()
    assert isinstance(made, Script)
    if ruff := shutil.which("ruff"):  # formatted as the rest is, where that can be done
        subprocess.run([ruff, "format", "--quiet", made.path], check=True)
    return Path(made.path)


def one_at_a_time(connection: Connection) -> None:
    """Wait for an upgrade by another process; the end of the transaction lets the next one in."""
    if connection.dialect.name == "postgresql":  # in SQLite a transaction that writes has the file for itself
        connection.execute(select(func.pg_advisory_xact_lock(_UPGRADE_LOCK)))


def _check_known(connection: Connection, relational: RelationalStore) -> None:
    found = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise StoreError(
            f"relational store {relational.url.render_as_string()}: stands at revision {found}, which this version of"
            f" tracebank ({max(known)}) does not know; install the newer version that made it"
        )


def upgrade(
    series: SeriesStore,
    relational: RelationalStore,
    around: Callable[[Connection], AbstractContextManager[object]] = nullcontext,
) -> SchemaStatus:
    """Migrate the relational store to the newest revision and create or extend every series table.

    Args:
        series: the series store.
        relational: the relational store.
        around: what the migration stands in, within its transaction.

    Raises:
        StoreError: a store is not to be had, or a newer version has made it.
        SchemaDrift: a series table differs in a way that is not repaired by adding columns.
    """
    with relational.migrating() as connection:
        one_at_a_time(connection)
        _check_known(connection, relational)
        with around(connection):
            command.upgrade(_config(connection), "head")
    for table in TABLES.values():
        move_to_new_keys(series, table)
        series.create(table)
    return status(series, relational)


def status(series: SeriesStore, relational: RelationalStore) -> SchemaStatus:
    """Compare what stands with what is declared; changes nothing."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    with relational.reading() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        revision = context.get_current_revision()
        found = [_told(change) for change in compare_metadata(context, METADATA)]
    drift = [difference for table in TABLES.values() for difference in series.differences(table)]
    return SchemaStatus(revision, str(head), found, drift)


def _told(change: Any) -> str:
    """One of Alembic's differences in words, e.g. "add column: ingest_files bytes"."""
    if isinstance(change, list):
        return "; ".join(_told(part) for part in change)
    names = [getattr(part, "name", part) for part in change[1:]]
    return f"{change[0].replace('_', ' ')}: {' '.join(name for name in names if isinstance(name, str))}"
