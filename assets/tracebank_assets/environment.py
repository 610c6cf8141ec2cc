"""The environment comes before `.env`, also below Dagster's commands, which put the file above it.

What the user set stands in the environment that the outermost of those commands was started with. `DAGSTER_HOME` is
beyond help here: Dagster has used it by the time that it loads us.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psutil
from dotenv import dotenv_values

_COMMANDS: Final = {"dg", "dagster", "dagster-daemon", "dagster-webserver"}


def restore_environment() -> None:
    """Give variables of `.env` back the values that the user's environment has for them."""
    names = dotenv_values(Path(".env")).keys() - {"DAGSTER_HOME"}
    if not names:
        return
    given = _given()
    os.environ.update({name: given[name] for name in names if given.get(name)})


def _given() -> Mapping[str, str]:
    """What the outermost of Dagster's commands above this process, or this one, was started with."""
    this = psutil.Process()
    found: Mapping[str, str] = {}
    for process in (this, *this.parents()):
        try:
            words = {Path(word).name for word in process.cmdline()[:4]}
            if words & _COMMANDS:
                found = process.environ()
        except psutil.Error:  # another user's, or gone
            break
    return found
