"""`tracebank gc`: what nothing refers to goes, what is referred to stays, nothing is touched while a run lives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import delete, func, select
from tests.filled import filled
from tests.upgraded import upgraded
from typer.testing import CliRunner

from tracebank import holds
from tracebank.cli.app import app
from tracebank.garbage import Home
from tracebank.ledger import Ledger, Part
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, open_series
from tracebank.stores.relational import RelationalStore
from tracebank.stores.series_store import SeriesStore
from tracebank_schemas.activations import ActivationShard
from tracebank_schemas.language_model import TRAINING_CURVES, Corpus, CorpusDocument, LanguageModel
from tracebank_schemas.ledger import Materialization
from tracebank_schemas.reward_probe import ABLATION_TEXTS, Ablation
from tracebank_schemas.series import SeriesTable
from tracebank_schemas.sparse_autoencoder import Feature, SparseAutoencoder

STUDIES = ("first-seed0", "first-seed1")


@pytest.fixture
def settings(tmp_path: Path, relational_url: str) -> Settings:
    home = tmp_path / "home"
    return Settings.load(home=home, relational_url=relational_url, series_url=f"duckdb:///{home}/series.duckdb")


@pytest.fixture
def relational(settings: Settings) -> Iterator[RelationalStore]:
    upgraded(settings)
    opened = open_relational(settings)
    yield opened
    opened.close()


@pytest.fixture
def series(settings: Settings) -> SeriesStore:
    return open_series(settings)


@pytest.fixture
def home(settings: Settings, relational: RelationalStore, series: SeriesStore) -> Home:
    """Two studies on one base, each with a checkpoint, a training of dictionaries, shards and rows of both stores."""
    _file(settings.home / "language_models/base/0/checkpoint-00000009/model.safetensors")
    _file(settings.home / "raw/synthetic/lines.gz")
    with relational.session() as session:
        path = f"{settings.home}/language_models/base/0/checkpoint-00000009"
        relational.upsert(session, LanguageModel, [filled(LanguageModel, model="base", weights_hash="b", path=path)])
    for key in STUDIES:
        _study(settings.home, relational, key)
        _series_rows(relational, series, TRAINING_CURVES, {"run": f"{key}/dictionaries"})
        study, _, seed = key.partition("-seed")
        _series_rows(relational, series, ABLATION_TEXTS, {"study": study, "seed": int(seed)})
    return Home(settings, relational, series)


def _file(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"1234")
    return str(path)


def _study(home: Path, relational: RelationalStore, key: str) -> None:
    model = _file(home / f"language_models/{key}/1/checkpoint-00000008/model.safetensors")
    _file(home / f"frontiers/{key}.svg")
    trained = home / f"sparse_autoencoders/{key}/2"
    _file(trained / "curve.parquet")
    _file(trained / "dictionaries/state.json")
    weights = _file(trained / "dictionaries/d/weights.safetensors")
    study, _, seed = key.partition("-seed")
    both = {"study": study, "seed": int(seed)}
    with relational.session() as session:
        rows: list[tuple[type, dict[str, object]]] = [
            (LanguageModel, {"model": key, "weights_hash": key, "path": str(Path(model).parent)}),
            (SparseAutoencoder, {"dictionary": f"{key}/d", "model": key, "path": str(Path(weights).parent)}),
            (Feature, {"dictionary": f"{key}/d"}),
            (Ablation, both),
            (Corpus, {**both, "corpus_hash": f"corpus of {key}"}),
            (CorpusDocument, {"corpus_hash": f"corpus of {key}"}),
        ]
        for of in ("b", key):
            folder = f"{of} on {key}"
            shard = _file(home / f"activations/{folder}/shard-00000.arrow")
            _file(home / f"activations/{folder}/layout.json")
            shown = {"activation_hash": folder, "model_hash": of, "corpus_hash": f"corpus of {key}", "path": shard}
            rows.append((ActivationShard, shown))
        for table, values in rows:
            relational.upsert(session, table, [filled(table, **values)])


def _series_rows(
    relational: RelationalStore, series: SeriesStore, table: SeriesTable, partition: dict[str, str | int]
) -> None:
    schema = table.polars_schema
    frame = pl.DataFrame({name: [partition.get(name)] for name in schema}, schema=schema)
    series.replace(table, partition, frame.select(_filled(name, kind) for name, kind in schema.items()))
    part = Part(f"series.{table.name}", partition, 1, "c").as_json()
    with relational.session() as session:
        entry = filled(Materialization, asset_key=table.name, partition=str(partition), rows=1, parts=[part])
        relational.upsert(session, Materialization, [entry | {"finished_at": datetime.now(UTC)}])


def _filled(name: str, kind: pl.DataType) -> pl.Expr:
    if isinstance(kind, pl.Datetime):
        return pl.col(name).fill_null(pl.lit(datetime(2024, 8, 8, tzinfo=UTC)).cast(kind))
    return pl.col(name).fill_null(pl.lit("" if kind == pl.String else 0).cast(kind))


def _drop(relational: RelationalStore, model: str) -> None:
    with relational.session() as session:
        session.execute(delete(LanguageModel).where(LanguageModel.model == model))


def _files(settings: Settings) -> set[str]:
    kinds = ("language_models", "sparse_autoencoders", "activations", "raw")
    found = (path for kind in kinds for path in (settings.home / kind).rglob("*"))
    return {path.relative_to(settings.home).as_posix() for path in found}


def test_where_all_is_referred_to_nothing_is_found(home: Home, settings: Settings) -> None:
    before = _files(settings)
    assert home.remove() == []
    assert _files(settings) == before


@pytest.mark.parametrize(("gone", "left"), [STUDIES, STUDIES[::-1]])
def test_of_a_dropped_study_all_goes_and_nothing_else(
    home: Home, settings: Settings, relational: RelationalStore, series: SeriesStore, gone: str, left: str
) -> None:
    before = _files(settings)
    _drop(relational, gone)
    found = home.found()
    assert _files(settings) == before
    assert home.remove() == found
    assert _files(settings) == {path for path in before if gone not in path}
    assert {(one.kind, one.name, one.files, one.bytes) for one in found if one.files} == {
        ("language_models", f"language_models/{gone}", 1, 4),
        ("sparse_autoencoders", f"sparse_autoencoders/{gone}", 3, 12),
        ("activations", f"activations/b on {gone}", 2, 8),
        ("activations", f"activations/{gone} on {gone}", 2, 8),
        ("frontiers", f"frontiers/{gone}.svg", 1, 4),
    }
    rows = {one.kind: one.rows for one in found if one.rows}
    assert rows == {
        "ablations": 1, "corpora": 1, "corpus_documents": 1, "activation_shards": 2,
        "series.training_curves": 1, "series.ablation_texts": 1,
    }  # fmt: skip
    with relational.reading() as session:
        counts = {
            model: session.scalar(select(func.count()).select_from(model))
            for model in (SparseAutoencoder, Feature, Ablation, Corpus, CorpusDocument, ActivationShard)
        }
        assert all(Path(path).exists() for path in session.scalars(select(ActivationShard.path)))
    assert counts == dict.fromkeys(counts, 1) | {ActivationShard: 2}
    assert [partition for partition, _ in series.partitions(TRAINING_CURVES)] == [{"run": f"{left}/dictionaries"}]
    assert all(standing.agrees for standing in Ledger(relational, series).compare())
    assert home.remove() == []


def test_what_trainings_and_killed_writers_left_goes_beside_what_is_needed(home: Home, settings: Settings) -> None:
    before = _files(settings)
    left = {
        "language_models/first-seed0/1/checkpoint-00000004/model.safetensors",
        "language_models/first-seed0/1/.checkpoint-00000012.partial/model.safetensors",
        "sparse_autoencoders/first-seed0/3/dictionaries/state.json",
        "activations/b on first-seed0/.shard-00001.arrow.0.tmp",
    }
    for name in left:
        _file(settings.home / name)
    assert {one.name for one in home.remove()} == {
        "language_models/first-seed0/1/checkpoint-00000004",
        "language_models/first-seed0/1/.checkpoint-00000012.partial",
        "sparse_autoencoders/first-seed0/3",
        "activations/b on first-seed0/.shard-00001.arrow.0.tmp",
    }
    assert _files(settings) == before


def test_nothing_beyond_the_home_is_touched(
    home: Home, settings: Settings, relational: RelationalStore, tmp_path: Path
) -> None:
    kept = Path(_file(tmp_path / "elsewhere/checkpoint/model.safetensors"))
    (settings.home / "language_models" / "linked").symlink_to(kept.parent)
    (one,) = home.remove()
    assert (one.name, one.files) == ("language_models/linked", 1)
    assert kept.exists()
    with relational.session() as session:
        path = str(kept.parent)
        relational.upsert(session, LanguageModel, [filled(LanguageModel, model="m", path=path)])
        (settings.home / "language_models" / "linked").symlink_to(kept.parent)
    assert home.remove() == []
    assert kept.exists()


def test_a_folder_that_is_named_is_left_as_it_is(home: Home, settings: Settings, relational: RelationalStore) -> None:
    """As a model that the user has put there."""
    kept = Path(_file(settings.home / "language_models/mine/model.safetensors"))
    with relational.session() as session:
        relational.upsert(session, LanguageModel, [filled(LanguageModel, model="m", path=str(kept.parent))])
    assert home.remove() == []
    assert kept.exists()


def test_doctor_names_rows_whose_files_are_gone(
    home: Home, settings: Settings, relational: RelationalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)

    def told() -> list[tuple[str, str]]:
        found = json.loads(CliRunner().invoke(app, ["doctor", "--json"], catch_exceptions=False).output)
        return [(one["state"], one["detail"]) for one in found if one["name"] == "files"]

    with relational.session() as session:
        hub = filled(LanguageModel, model="hub", path="Qwen/Qwen3", weights_hash="q")
        relational.upsert(session, LanguageModel, [hub])
    assert told() == [("ok", "9 of 9 named in rows are there")]
    shard = settings.home / "activations/b on first-seed0/shard-00000.arrow"
    shard.unlink()
    assert told() == [
        ("broken", f"{shard} of relational.activation_shards is not there"),
        ("ok", "8 of 9 named in rows are there"),
    ]


def test_a_living_run_is_waited_for_by_the_user(home: Home, settings: Settings, relational: RelationalStore) -> None:
    _drop(relational, "first-seed0")
    before = _files(settings)
    with holds.held(settings.home, "runs/0"):
        for call in (home.found, home.remove):
            with pytest.raises(holds.Held, match=r"^gc: .* computes a run of .*; wait until it has ended, or stop it$"):
                call()
    assert _files(settings) == before
    assert home.found()


def test_the_command_tells_first_and_removes_when_asked(
    home: Home, settings: Settings, relational: RelationalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    _drop(relational, "first-seed0")
    told = CliRunner().invoke(app, ["gc"], catch_exceptions=False).output
    assert "nothing was removed; 'tracebank gc --delete' removes it" in told
    assert max(map(len, told.splitlines())) <= 80
    found = json.loads(CliRunner().invoke(app, ["gc", "--json"], catch_exceptions=False).output)
    assert found["removed"] is False
    removed = json.loads(CliRunner().invoke(app, ["gc", "--json", "--delete"], catch_exceptions=False).output)
    assert removed == {"removed": True, "found": found["found"]}
    assert CliRunner().invoke(app, ["gc"], catch_exceptions=False).output == "everything is referred to\n"
    assert home.found() == []
