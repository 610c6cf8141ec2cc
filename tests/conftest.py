"""Fixtures of every room: settings in a folder of the test's own, both stores, and PostgreSQL where there is one."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from tracebank.engines.clickhouse.store import ClickHouseStore
from tracebank.engines.postgresql.reader import role
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational, open_series
from tracebank.stores.relational import RelationalStore

_SUITE_RELATIONAL = os.environ.get("TRACEBANK_RELATIONAL_URL", "")
_SUITE_POSTGRES = _SUITE_RELATIONAL if _SUITE_RELATIONAL.startswith("postgresql") else ""
_POSTGRES = os.environ.get("TRACEBANK_TEST_POSTGRES_URL") or _SUITE_POSTGRES


_ONLY_RELATIONAL = os.environ.get("TRACEBANK_TEST_ONLY_RELATIONAL") == "1"
"""Run what uses the relational store alone: the rest has been run beside the other one."""


_MEMORY = Path("/dev/shm")
_ENOUGH = 6 << 30
"""Bytes; what all tests leave is a third of that."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Put the tests' folders in memory where there is room: thousands of small commits wait for a disk otherwise."""
    if hasattr(config, "workerinput") or config.option.basetemp or not os.access(_MEMORY, os.W_OK):
        return
    for left in _MEMORY.glob("tracebank-tests-*-*"):  # by runs that were killed
        if not Path("/proc", left.name.split("-")[2]).exists():
            shutil.rmtree(left, ignore_errors=True)
    if shutil.disk_usage(_MEMORY).free > _ENOUGH:
        config.option.basetemp = folder = tempfile.mkdtemp(prefix=f"tracebank-tests-{os.getpid()}-", dir=_MEMORY)
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not _ONLY_RELATIONAL:
        return
    chosen = [item for item in items if {"relational_url", "module_settings"} & set(getattr(item, "fixturenames", ()))]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
    items[:] = chosen


@contextmanager
def _fresh_postgres(server: str) -> Iterator[str]:
    """A database of the test's own on a server, dropped afterwards with its reader, whoever is still connected."""
    url, name = make_url(server), f"tracebank_test_{uuid.uuid4().hex[:16]}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{name}"'))
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
            connection.execute(text(f'DROP ROLE IF EXISTS "{role(name)}"'))
        engine.dispose()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer has set is not what the tests run on."""
    for name in [name for name in os.environ if name.startswith("TRACEBANK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TRACEBANK_OWNER_IDLE", "8")
    monkeypatch.setitem(Settings.model_config, "env_file", None)


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """URL of an empty PostgreSQL database."""
    if not _POSTGRES:
        pytest.skip("no PostgreSQL: set TRACEBANK_TEST_POSTGRES_URL, e.g. to what '.ci/postgres start' prints")
    with _fresh_postgres(_POSTGRES) as url:
        yield url


def _relational(folder: Path) -> AbstractContextManager[str]:
    if not _SUITE_POSTGRES:
        return nullcontext(f"sqlite:///{folder / 'home' / 'relational.db'}")
    return _fresh_postgres(_SUITE_POSTGRES)


@pytest.fixture
def relational_url(tmp_path: Path) -> Iterator[str]:
    """URL of an empty relational store: SQLite, or PostgreSQL where the suite was started with one."""
    with _relational(tmp_path) as url:
        yield url


@pytest.fixture
def settings(tmp_path: Path, relational_url: str) -> Settings:
    """Settings whose home is the test's own."""
    return Settings.load(home=tmp_path / "home", relational_url=relational_url, lock_timeout=60)


@pytest.fixture(scope="module")
def module_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings whose home is that of all tests of a module which leave it as it is."""
    home = tmp_path_factory.mktemp("module") / "home"
    with _relational(home.parent) as url:
        yield Settings.load(home=home, series_url=f"chdb:///{home}/series", relational_url=url, owner_idle=8)


@pytest.fixture
def series_store(settings: Settings) -> ClickHouseStore:
    """The embedded series store, empty."""
    return open_series(settings)


@pytest.fixture
def relational_store(settings: Settings) -> Iterator[RelationalStore]:
    """The relational store, empty: no migration has run."""
    store = open_relational(settings)
    yield store
    store.close()
