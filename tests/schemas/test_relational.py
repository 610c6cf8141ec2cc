"""Column types of the relational models."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from tracebank_schemas.catalogue import METADATA, MODELS
from tracebank_schemas.relational import UtcDateTime


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()], ids=lambda d: d.name)
def test_instants_are_utc_whatever_zone_they_came_in(dialect: object) -> None:
    kind = UtcDateTime()
    moment = datetime(2024, 8, 8, 1, tzinfo=timezone(timedelta(hours=2)))
    bound = kind.process_bind_param(moment, dialect)  # type: ignore[arg-type]
    assert bound is not None
    assert bound.replace(tzinfo=None) == datetime(2024, 8, 7, 23)
    assert kind.process_result_value(bound, dialect) == moment  # type: ignore[arg-type]
    assert kind.process_result_value(bound.replace(tzinfo=None), dialect).tzinfo == UTC  # type: ignore[arg-type,union-attr]
    assert kind.process_bind_param(None, dialect) is None  # type: ignore[arg-type]
    assert kind.process_result_value(None, dialect) is None  # type: ignore[arg-type]


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"datetime\(2024, 8, 8, 0, 0\) has no time zone; give one in UTC"):
        UtcDateTime().process_bind_param(datetime(2024, 8, 8), sqlite.dialect())


def test_the_catalogue_lists_every_model_and_each_column_says_what_it_is() -> None:
    assert {model.__tablename__ for model in MODELS} == set(METADATA.tables)
    for table in METADATA.tables.values():
        keys = {column.name for column in table.primary_key} | {key.parent.name for key in table.foreign_keys}
        assert [column.name for column in table.columns if not column.doc and column.name not in keys] == [], table.name
