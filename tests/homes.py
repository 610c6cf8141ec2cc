"""A home with stores as `upgrade` leaves them, in which assets are materialised: what tests of groups begin with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import dagster as dg
import polars as pl
import pytest
from sqlalchemy import func, select
from tests.upgraded import upgraded

from tracebank.query.connection import Connection
from tracebank.resources import Stores
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational
from tracebank.stores.relational import RelationalStore


@dataclass(frozen=True)
class Home:
    """A home, and what materialising in it does."""

    settings: Settings
    relational: RelationalStore
    instance: dg.DagsterInstance

    def make(self, asset: Any, partition: str | None = None, **config: Any) -> dg.ExecuteInProcessResult:
        """Materialise, well or not."""
        return dg.materialize(
            [asset],
            partition_key=partition,
            instance=self.instance,
            resources={"stores": Stores()},
            run_config={"ops": {asset.key.to_python_identifier(): {"config": config}}} if config else None,
            raise_on_error=False,
        )

    def made(self, asset: Any, partition: str | None = None, **config: Any) -> dict[str, bool]:
        """Materialise well, and what checks found."""
        result = self.make(asset, partition, **config)
        assert result.success, fault(result)
        return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}

    def count(self, table: Any) -> int:
        """Rows of a relational table."""
        with self.relational.reading() as session:
            return int(session.scalar(select(func.count()).select_from(table)) or 0)

    def models(self, table: Any) -> list[Any]:
        """All rows of a relational table."""
        with self.relational.reading() as session:
            return [SimpleNamespace(**row.row()) for row in session.scalars(select(table))]

    def sql(self, text: str) -> pl.DataFrame:
        """Answer of the one SQL."""
        return Connection(self.settings).sql(text)


def fault(result: dg.ExecuteInProcessResult) -> str:
    """What the step that failed said."""
    data = next(event.step_failure_data for event in result.all_events if event.is_step_failure)
    assert data.error is not None
    return str(data.error.cause.message if data.error.cause else data.error.message)


@contextmanager
def opened(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home of its own, that commands find too, on the CPU."""
    monkeypatch.setenv("TRACEBANK_HOME", str(settings.home))
    monkeypatch.setenv("TRACEBANK_RELATIONAL_URL", settings.relational.render_as_string(hide_password=False))
    monkeypatch.setenv("TRACEBANK_DEVICE", "cpu")
    upgraded(settings)
    relational = open_relational(settings)
    try:
        with dg.DagsterInstance.ephemeral() as instance:
            yield Home(settings, relational, instance)
    finally:
        relational.close()
