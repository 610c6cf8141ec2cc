"""Stores as `upgrade` leaves them, copied from ones that were upgraded once: what tests of other things begin with."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from tracebank.engines.clickhouse.reach import stop
from tracebank.settings import Settings
from tracebank.stores.opening import upgrade

_EMBEDDED: Final = ("chdb", "duckdb")


def upgraded(settings: Settings) -> Settings:
    """Bring the stores of an empty home up to what is declared; those on servers by `upgrade` itself."""
    engine = settings.series.drivername
    if engine not in _EMBEDDED or settings.relational.get_backend_name() != "sqlite":
        upgrade(settings)
        return settings
    standing = _standing(engine)
    for name, place in (("series", settings.series.database), ("relational.db", settings.relational.database)):
        target = Path(str(place))
        assert not target.exists(), f"{target} is there: it is upgraded, not copied"
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if (standing / name).is_dir():
            shutil.copytree(standing / name, target, symlinks=True)
        else:
            shutil.copy(standing / name, target)
    return settings


@cache
def _standing(engine: str) -> Path:
    """A home that nobody has open, made once in a process."""
    home = Path(tempfile.mkdtemp(prefix="tracebank-upgraded-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    upgrade(
        Settings.load(
            home=home, series_url=f"{engine}:///{home}/series", relational_url=f"sqlite:///{home}/relational.db"
        )
    )
    if engine == "chdb":
        stop(home / "series")
    return home
