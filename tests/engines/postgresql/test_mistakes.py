"""A mistake in a query gets the same way out as on the other engines."""

from __future__ import annotations

import pytest
from tests.query.mistaken import MISTAKES

from tracebank.query.connection import Connection
from tracebank.query.errors import SqlError
from tracebank.settings import Settings


@pytest.mark.parametrize(("query", "end"), MISTAKES)
def test_a_mistake_gets_its_way_out(query: str, end: str, warehouse: Settings) -> None:
    with pytest.raises(SqlError) as caught:
        Connection(warehouse).sql(query)
    assert str(caught.value).endswith(end)
    assert "\n" not in str(caught.value)
