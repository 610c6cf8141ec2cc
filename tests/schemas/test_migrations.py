"""Migrations: written from the models, and taken by homes that older ones made."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, MetaData, Text, func, insert, select, text

import tracebank_schemas
from tracebank.settings import Settings
from tracebank.stores.migrations import _config, revision, status
from tracebank.stores.opening import open_relational, open_series, upgrade
from tracebank_schemas.ingest import Instrument
from tracebank_schemas.language_model import LayerDivergence
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.sparse_autoencoder import (
    DictionaryMetric,
    Feature,
    FeatureExplanation,
    FeatureScore,
    FeatureToken,
)

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


def _insert(connection: Connection, table: str, **values: object) -> None:
    """A row of a table as it is at this revision: what is not given is something of its type."""
    found = MetaData()
    found.reflect(connection, only=[table])
    row = {}
    for column in found.tables[table].columns:
        kind = column.type.python_type
        row[column.name] = values.get(column.name, "" if kind is str else None if column.nullable else _some(kind))
    connection.execute(insert(found.tables[table]).values(row))


def _some(kind: type) -> object:
    return datetime(2024, 8, 8) if kind is datetime else kind(1) if kind in (int, float) else {}


def _home_of_before(connection: Connection, home: Path) -> None:
    """A model with two dictionaries of which one is gone, and what hangs on each."""
    _insert(connection, "language_models", model="tuned", path=f"{home}/language_models/tuned/checkpoint-00000001")
    _insert(connection, "language_models", model="other", path="Qwen/Qwen3")
    _insert(connection, "activation_shards", activation_hash="a", path=f"{home}/activations/a/shard-00000.arrow")
    _insert(connection, "sparse_autoencoders", dictionary="s/kept", model="tuned", path="/elsewhere/d")
    for name in ("s/kept", "s/gone"):
        _insert(connection, "features", dictionary=name, feature=3, matched_dictionary="s/gone", top_tokens=["ü"])
        _insert(connection, "feature_tokens", dictionary=name, feature=3)
        _insert(connection, "feature_explanations", explanation=name, dictionary=name, feature=3)
        _insert(connection, "feature_scores", explanation=name)
        _insert(connection, "dictionary_metrics", dictionary=name)
    _insert(connection, "layer_divergences", model="tuned")
    _insert(connection, "layer_divergences", model="lost")


def test_rows_of_what_is_gone_go_in_an_upgrade_and_all_others_stay(
    both: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    before = ScriptDirectory.from_config(_config()).get_revision("0013").down_revision
    relational = open_relational(both)
    with relational.connection() as connection:
        command.upgrade(_config(connection), before)
        _home_of_before(connection, both.home)
    with caplog.at_level(logging.WARNING):
        upgrade(both)
    told = [record.message for record in caplog.records if "removed" in record.message]
    assert told == [
        "removed rows of what is not there any more: 1 of layer_divergences, 1 of dictionary_metrics, 1 of features,"
        " 1 of feature_tokens, 1 of feature_explanations, 1 of feature_scores"
    ]
    assert status(open_series(both), relational).current
    with relational.reading() as session:
        for model in (LayerDivergence, DictionaryMetric, FeatureToken, FeatureExplanation, FeatureScore):
            assert session.scalar(select(func.count()).select_from(model)) == 1, model
        kept = session.scalars(select(Feature)).one()
        assert (kept.dictionary, kept.feature, kept.top_tokens) == ("s/kept", 3, ["ü"])
        assert kept.matched_dictionary is None
        paths = {
            table: session.execute(text(f"SELECT path FROM {table} ORDER BY path")).scalars().all()
            for table in ("language_models", "activation_shards", "sparse_autoencoders")
        }
    assert paths == {
        "language_models": ["./language_models/tuned/checkpoint-00000001", "Qwen/Qwen3"],
        "activation_shards": ["./activations/a/shard-00000.arrow"],
        "sparse_autoencoders": ["/elsewhere/d"],
    }
    relational.close()


def test_a_table_that_others_refer_to_may_be_made_anew(tmp_path: Path) -> None:
    """SQLite has no other way to change a column, and drops the old table with all rows that refer to it."""
    settings = Settings.load(home=tmp_path, series_url=f"duckdb:///{tmp_path}/series.duckdb")
    upgrade(settings)
    relational = open_relational(settings)
    with relational.connection() as connection:
        _insert(connection, "language_models", model="m")
        _insert(connection, "layer_divergences", model="m")
    with relational.migrating() as connection:
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("language_models", recreate="always") as batch:
            batch.add_column(Column("more", Text, nullable=True))
    with relational.reading() as session:
        assert session.scalar(select(func.count()).select_from(LayerDivergence)) == 1
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
