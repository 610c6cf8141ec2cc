"""Groups are found: no list names them, and nothing that they define is left out or taken twice."""

from __future__ import annotations

import dagster as dg

from tracebank_assets.definitions import defs
from tracebank_assets.groups import definitions_found
from tracebank_assets.offered import modules


def test_every_group_is_found_with_its_jobs_schedules_and_sensors() -> None:
    keys = [spec.key.path for spec in defs.resolve_all_asset_specs()]
    assert {group for group, _ in keys} >= {"market", "tsdb_benchmark", "language_models", "sparse_features"}
    assert len(keys) == len({tuple(key) for key in keys})
    found = definitions_found()
    assert {job.name for job in found["jobs"]} >= {"load_market_day", "run_tsdb_benchmark", "reward_study"}
    assert {one.name for one in found["schedules"]} >= {"daily_market_load", "weekly_tsdb_report"}
    assert {one.name for one in found["sensors"]} >= {"new_market_files", "reward_studies"}
    every = defs.get_repository_def().sensor_defs
    assert {one.name for one in every} == {one.name for one in found["sensors"]}, "Dagster adds one for the others"
    assert found["asset_checks"] == []


def test_groups_offer_questions_and_views() -> None:
    asking = ["fairness", "forecasting", "identifier_swaps", "language_models", "market", "model_editing"]
    assert list(modules("questions")) == [one for one in asking if one != "language_models"] + [
        "neuron_graphs",
        "safe_rl",
        "sparse_features",
    ]
    assert list(modules("views")) == [*asking, "neuron_graphs", "safe_rl", "sparse_features", "tsdb_benchmark"]


def test_every_asset_of_a_table_shows_its_columns_and_follows_its_code() -> None:
    for spec in defs.resolve_all_asset_specs():
        assert spec.code_version, spec.key
        if "dagster/relation_identifier" in spec.metadata:
            schema = spec.metadata["dagster/column_schema"]
            assert isinstance(schema, dg.TableSchemaMetadataValue)
            assert all(column.description for column in schema.schema.columns if column.constraints.nullable), spec.key
