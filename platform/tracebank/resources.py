"""Dagster's way to the stores. Settings are read when a run uses them: no URL stands in run config or the UI."""

from __future__ import annotations

from functools import cached_property

import dagster as dg

from tracebank.ledger import Ledger
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, open_series
from tracebank.stores.relational import RelationalStore
from tracebank.stores.series_store import SeriesStore


class Stores(dg.ConfigurableResource["Stores"]):
    """The two stores that the `TRACEBANK_*` settings name."""

    @cached_property
    def settings(self) -> Settings:
        """The settings of this process."""
        return Settings.load()

    @cached_property
    def series(self) -> SeriesStore:
        """The time-series store."""
        return open_series(self.settings)

    @cached_property
    def relational(self) -> RelationalStore:
        """The relational store."""
        return open_relational(self.settings)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of what was materialised."""
        return Ledger(self.relational, self.series)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """Close what the run opened."""
        if "relational" in self.__dict__:
            self.relational.close()
