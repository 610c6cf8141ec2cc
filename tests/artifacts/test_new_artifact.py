"""A new artifact costs three files, those of docs/add_an_artifact.md: everything else follows from them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "add_an_artifact.md"
FILES = {
    path.split("/", 1)[1]: text
    for path, text in re.findall(
        r"^## \d\.[^\n]*`([^\n]+\.py)`\n.*?^```python[^\n]*\n(.*?)^```", PAGE.read_text("utf-8"), re.S | re.M
    )
}
"""The files of the docs page: name below its source root, and text."""
FUNCTION = FILES["tracebank_models/naive_price.py"]

DRIVER = """
import json, sys
from datetime import date
import tracebank_assets, tracebank_models, tracebank_schemas
for package in (tracebank_assets, tracebank_models, tracebank_schemas):
    package.__path__.append(f"{sys.argv[1]}/{package.__name__}")
sys.path.insert(0, sys.argv[2])
import dagster as dg, polars as pl
from killed_materialisation import DAY, bars
from tracebank.query.connection import connect
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, open_series, upgrade
from tracebank_assets.definitions import defs
from tracebank_assets.market.partitions import add_to
from tracebank_schemas.docs import tables_page
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.market import BARS

settings = Settings.load()
status = upgrade(settings)
instance, key = dg.DagsterInstance.ephemeral(), dg.AssetKey(["naive_price", "naive_prices"])
add_to(instance, [(DAY, "A")])


def make(frame):
    open_series(settings).replace(BARS, {"day": DAY, "symbol": "A"}, frame)
    done = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, partition_key=f"{DAY}|A", asset_selection=[key])
    (event,) = done.asset_materializations_for_node("naive_price__naive_prices")
    return {
        "run": done.run_id, "data_version": event.tags["dagster/data_version"],
        "metadata": {name: value.value for name, value in event.metadata.items() if "schema" not in name},
        "checks": {one.check_name: one.passed for one in done.get_asset_check_evaluations()},
    }


rows = bars(1, "A")
frames = [rows, bars(2, "A"), rows, rows.head(1)] if sys.argv[3] == "everything" else [rows]
found = {"current": status.current, "made": [make(frame) for frame in frames]}
spec = next(spec for spec in defs.resolve_all_asset_specs() if spec.key == key)
found["code_version"] = spec.code_version
if sys.argv[3] != "everything":
    print(json.dumps(found, default=str))
    sys.exit()
found["relation"] = spec.metadata["dagster/relation_identifier"]
schema = spec.metadata["dagster/column_schema"].value
found["columns"] = [[c.name, c.type, c.description] for c in schema.columns]
found["page"] = "### `series.naive_prices`" in tables_page()
sql = "SELECT asset_key, partition, rows, code_version FROM relational.materializations WHERE run_id = '{}'"
found["ledger"] = connect(settings).sql(sql.format(found["made"][0]["run"])).row(0)
found["sql"] = connect(settings).sql("SELECT count(*) AS n, max(price) AS p FROM series.naive_prices").row(0)
print(json.dumps(found, default=str))
"""


def _run(folder: Path, home: Path, what: str = "version") -> dict[str, Any]:
    """What a process of its own finds: everything, or what the artifact's version is and what comes of it."""
    environment = os.environ | {
        "TRACEBANK_HOME": str(home),
        "TRACEBANK_SERIES_URL": f"duckdb:///{home}/series.duckdb",
        "TRACEBANK_RELATIONAL_URL": f"sqlite:///{home}/relational.db",
    }
    helpers = str(Path(__file__).parents[1] / "stores")
    command = [sys.executable, "-c", DRIVER, str(folder), helpers, what]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder with the three files."""
    folder = tmp_path / "ours"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_three_files_make_an_artifact(written: Path, tmp_path: Path) -> None:
    assert len(FILES) == 3
    assert FILES["tracebank_assets/naive_price.py"].partition("def naive_prices")[2].count("\n") <= 10
    found = _run(written, tmp_path / "home", "everything")
    first, other, again, empty = found["made"]
    assert found["current"]
    assert found["page"]
    assert found["relation"] == "series.naive_prices"
    assert found["columns"] == [
        ["ts", "timestamp[ns, tz=UTC]", "time that is forecast [UTC]"],
        ["symbol", "string", "instrument"],
        ["price", "double", "forecast [price_unit]"],
    ]
    assert first["checks"] == {"schema_as_declared": True, "unique_key": True, "not_empty": True}
    assert first["metadata"]["dagster/row_count"] == 39
    assert {"bytes", "seconds", "cpu_seconds", "rows_per_second", "peak_memory_mib"} <= set(first["metadata"])
    assert found["ledger"] == ["naive_price/naive_prices", "2024-08-08|A", 39, found["code_version"]]
    assert first["data_version"] == again["data_version"] != other["data_version"], "the content is in the version"
    assert empty["checks"]["not_empty"] is False
    assert found["sql"] == [0, None]

    function = written / "tracebank_models" / "naive_price.py"
    function.write_text(FUNCTION.replace('"""The close', '# to be bettered\n    """Close'), encoding="utf-8")
    commented = _run(written, tmp_path / "home")
    assert commented["made"][0]["data_version"] == first["data_version"], "what it computes did not change"
    function.write_text(FUNCTION.replace("shift(1)", "shift(1 + 0)"), encoding="utf-8")
    changed = _run(written, tmp_path / "home")
    assert changed["code_version"] != found["code_version"]
    assert changed["made"][0]["data_version"] != first["data_version"], "the code is in the version"
