"""The docs page of the stores says what the declarations say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracebank_schemas.catalogue import TABLES
from tracebank_schemas.series import SeriesTable

PAGE = Path(__file__).parents[2] / "docs" / "stores.md"


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_the_page_holds_every_table_as_declared(table: SeriesTable) -> None:
    section = PAGE.read_text(encoding="utf-8").partition(f"### `{table.name}`\n")[2].partition("\n### ")[0]
    assert table.docs_table() in section, f"docs/stores.md, {table.name}: put this there\n{table.docs_table()}"
    assert table.doc in section
    assert f"Sort key: {', '.join(f'`{name}`' for name in table.sort_key)}." in section
