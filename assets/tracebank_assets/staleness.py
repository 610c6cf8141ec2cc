"""What is not up to date, by Dagster's own reckoning of versions: one rule for the automation and for the commands.

An asset is out of date where it is missing, where its code has another version than what stands was made with, or where
one of its deps has another data version by now. Dagster shows the same as "stale" and "missing".
"""

from collections.abc import Iterable
from datetime import UTC, datetime

import dagster as dg
from dagster._core.asset_graph_view.asset_graph_view import AssetGraphView
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.definitions.temporal_context import TemporalContext


class OutOfDate(dg.AutomationCondition[dg.AssetKey]):
    """True of the partitions that are missing or stale. It keeps nothing between ticks: a reload loses nothing."""

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """The partitions of an asset that are out of date."""
        view = context.asset_graph_view
        keys = context.candidate_subset.expensively_compute_partition_keys()
        found = self.among(view, context.key, keys)
        partitions = view.asset_graph.get(context.key).partitions_def
        assert partitions is not None
        subset = view.get_subset_from_partition_keys(context.key, partitions, found)
        return dg.AutomationResult(context, true_subset=subset)

    def among(self, view: AssetGraphView, asset: dg.AssetKey, partitions: Iterable[str]) -> set[str]:
        """Those partitions of an asset that are out of date."""
        return out_of_date(view, asset, partitions)

    @classmethod
    def condition(cls) -> dg.AutomationCondition[dg.AssetKey]:
        """Make what is out of date, and what hangs on it, in one run; what failed waits for somebody to look at it."""
        wanted = cls() | dg.AutomationCondition.any_deps_match(dg.AutomationCondition.will_be_requested())
        busy = dg.AutomationCondition.in_progress() | dg.AutomationCondition.any_deps_in_progress()
        return wanted & ~busy & ~dg.AutomationCondition.execution_failed()


def out_of_date(view: AssetGraphView, asset: dg.AssetKey, partitions: Iterable[str]) -> set[str]:
    """The partitions of an asset that are missing or stale."""
    resolver = CachingStaleStatusResolver(view.instance, view.asset_graph, view)
    return {key for key in partitions if resolver.get_status(asset, key) is not StaleStatus.FRESH}


def view_of(defs: dg.Definitions, instance: dg.DagsterInstance) -> AssetGraphView:
    """What the code location defines, beside what was made of it until now."""
    now = TemporalContext(effective_dt=datetime.now(UTC), last_event_id=None)
    return AssetGraphView(temporal_context=now, instance=instance, asset_graph=defs.resolve_asset_graph())
