"""The home that `tracebank demo` makes, on which the documentation's blocks run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

GIVEN = os.environ.get("TRACEBANK_TEST_DEMO_HOME", "")
"""A home in which the demo has been run, used as it is; read when the suite is gathered."""


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of a reader who has just run the demo, in a checkout."""
    folder = tmp_path_factory.mktemp("reader")
    home = Path(GIVEN) if GIVEN else folder / ".tracebank"
    commands = folder / ".venv" / "bin"
    commands.mkdir(parents=True)
    (commands / "activate").touch()
    # Guarded, as the installed one is: processes that the demo spawns import the script that started it.
    guarded = "from tracebank.cli import main\n\nif __name__ == '__main__':\n    main()\n"
    (commands / "tracebank").write_text(f"#!{sys.executable}\n{guarded}")
    (commands / "tracebank").chmod(0o755)
    found = {name: value for name, value in os.environ.items() if not name.startswith(("TRACEBANK_", "DAGSTER_"))}
    found["PATH"] = os.pathsep.join([str(commands), str(Path(sys.executable).parent), found["PATH"]])
    found |= {"TRACEBANK_HOME": str(home), "TRACEBANK_OWNER_IDLE": "8", "COLUMNS": "120", "PWD": str(folder)}
    if not GIVEN:
        done = subprocess.run(
            ["tracebank", "demo", "--minutes", "0.1"],
            cwd=folder,
            env=found,
            capture_output=True,
            text=True,
            timeout=1500,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "no rows" not in done.stdout
        assert done.stdout.rstrip().endswith("serves them")
    return found
