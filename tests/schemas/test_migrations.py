"""Migrations: written from the models, and taken by homes that older ones made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import select, text

import tracebank_schemas
from tracebank.settings import Settings
from tracebank.stores.migrations import _config, revision, status
from tracebank.stores.opening import open_relational, open_series, upgrade
from tracebank_schemas.ingest import Instrument
from tracebank_schemas.ledger import Materialization

NEW_MODEL = '''"""A model that was just written down."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from tracebank_schemas.relational import Base


class Novelty(Base):
    """Something new."""

    __tablename__ = "novelties"

    name: Mapped[str] = mapped_column(String(64), primary_key=True, doc="its name")
    rows: Mapped[int] = mapped_column(doc="rows")
    seen: Mapped[datetime] = mapped_column(doc="UTC")
'''


@pytest.fixture(params=["sqlite", "postgresql"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings on each of the two engines."""
    url = f"sqlite:///{tmp_path / 'r.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    home = tmp_path / "home"
    return Settings.load(home=home, relational_url=url, series_url=f"duckdb:///{home}/series.duckdb")


@pytest.mark.parametrize("made_by", ["0001", "0002", "0003"])
def test_homes_of_every_revision_upgrade_and_keep_their_ledger(both: Settings, made_by: str) -> None:
    relational = open_relational(both)
    told = {
        "run_id": "r", "asset_key": "market/bars", "partition": "p", "code_version": "1", "data_version": "v",
        "rows": 3, "bytes": 9, "seconds": 0.5, "peak_memory": 1, "device": "cpu",
    }  # fmt: skip
    names = [*told, "input_versions", "started_at", "finished_at"]
    with relational.connection() as connection:
        command.upgrade(_config(connection), made_by)
        values = ", ".join(f":{name}" for name in told)
        statement = f"INSERT INTO materializations ({', '.join(names)}) VALUES ({values}, '{{}}', :moment, :moment)"
        connection.execute(text(statement), {**told, "moment": "2024-08-08 00:00:00"})
    upgrade(both)
    assert status(open_series(both), relational).current
    with relational.session() as session:
        row = session.scalars(select(Materialization)).one().row()
    assert {name: row[name] for name in told} == told
    assert (row["content"], row["parts"]) == ("", [])
    relational.close()


def test_units_that_were_guessed_are_not_known_any_more(both: Settings) -> None:
    relational = open_relational(both)
    guessed = {"bitget": ("unknown", "USDT", "BTC"), "binance_coinm": ("inverse", "TUSD", "contracts")}
    with relational.connection() as connection:
        command.upgrade(_config(connection), "0004")
        for venue, values in guessed.items():
            statement = (
                "INSERT INTO instruments (venue, symbol, kind, price_unit, qty_unit) VALUES (:v, 's', :k, :p, :q)"
            )
            connection.execute(text(statement), dict(zip("vkpq", (venue, *values), strict=True)))
    upgrade(both)
    with relational.session() as session:
        found = {row.venue: (row.kind, row.price_unit, row.qty_unit) for row in session.scalars(select(Instrument))}
    assert found == {"bitget": (None, None, None), "binance_coinm": ("inverse", "USD", "contracts")}
    relational.close()


def test_models_and_migrations_agree() -> None:
    assert revision("nothing") is None, "a model changed: run tracebank db revision -m 'what changed'"


def test_a_new_model_needs_one_command(tmp_path: Path) -> None:
    copy = tmp_path / "tracebank_schemas"
    shutil.copytree(Path(tracebank_schemas.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "novelties.py").write_text(NEW_MODEL, encoding="utf-8")
    home = tmp_path / "home"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
        "TRACEBANK_HOME": str(home),
        "TRACEBANK_SERIES_URL": f"duckdb:///{home}/series.duckdb",
    }

    def tracebank(*arguments: str) -> str:
        main = [sys.executable, "-c", "from tracebank.cli import main; main()", *arguments]
        done = subprocess.run(main, env=environment, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    written = Path(tracebank("db", "revision", "-m", "novelties").strip())
    assert written.parent == copy / "migrations" / "versions"
    assert written.name.endswith("_novelties.py")
    made = written.read_text(encoding="utf-8")
    assert "UtcDateTime()" in made
    assert "from tracebank_schemas.relational import UtcDateTime" in made
    assert tracebank("db", "revision", "-m", "again") == "nothing to write: models and migrations agree\n"
    tracebank("db", "upgrade")
    tracebank("db", "status")
    assert "novelties" in tracebank("tables", "--json")
