"""The docs page of the tables says what the declarations say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tracebank_schemas.catalogue import METADATA, TABLES
from tracebank_schemas.docs import tables_page

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == tables_page(), "run: tracebank db docs > docs/tables.md"


def test_the_page_says_of_every_table_what_is_declared() -> None:
    sections = {text.partition("`\n")[0]: text for text in tables_page().split("\n### `")[1:]}
    assert set(sections) == {f"series.{name}" for name in TABLES} | {f"relational.{name}" for name in METADATA.tables}
    trades = sections["series.trades"]
    assert (
        "Executions, one row each. Partition: day of `ts`, `symbol`. Sort key: `venue`, `symbol`, `ts`, `seq`."
        in trades
    )
    assert "Unique: `venue`, `symbol`, `seq`." in trades
    assert "| `price` | double | price_unit of the instrument |  | Delta, ZSTD | price of the execution |" in trades
    counts = sections["relational.rejected_rows"]
    assert "Primary key: `sha256`, `line`." in counts
    assert "| `sha256` | VARCHAR(64) |  | `ingest_files.sha256` |" in counts


def test_the_command_prints_the_page() -> None:
    command = [sys.executable, "-c", "from tracebank.cli import main; main()", "db", "docs"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8")
    assert printed.stdout == tables_page()
