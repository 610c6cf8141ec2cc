"""A plain `.env` does not win over the environment below Dagster's commands."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

DG = """
import os, subprocess, sys
from dotenv import dotenv_values
os.environ.update(dotenv_values(".env"))
sys.exit(subprocess.run([sys.executable, "-c", os.environ["CODE"]]).returncode)
"""
"""As Dagster's commands do: the file's values over the environment, for their children too."""

CODE = """
import os
from tracebank_assets.environment import restore_environment
restore_environment()
print(os.environ.get("TRACEBANK_DEVICE"), os.environ.get("OPENAI_API_KEY"))
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"TRACEBANK_DEVICE": "cuda", "OPENAI_API_KEY": "mine"}, "cuda mine"),
        ({"TRACEBANK_DEVICE": "cuda"}, "cuda files"),
        ({"TRACEBANK_DEVICE": ""}, "cpu files"),
        ({}, "cpu files"),
    ],
)
@pytest.mark.parametrize("depth", [1, 2])
def test_the_environment_comes_first(tmp_path: Path, given: dict[str, str], expected: str, depth: int) -> None:
    (tmp_path / ".env").write_text("TRACEBANK_DEVICE=cpu\nOPENAI_API_KEY=files\n")
    (tmp_path / "dg").write_text(textwrap.dedent(DG))
    inner = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {CODE!r}]).returncode)"
    environment = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    environment |= {"CODE": CODE if depth == 1 else inner} | given
    done = subprocess.run(
        [sys.executable, "dg"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == expected


def test_without_a_file_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACEBANK_DEVICE", "mps")
    from tracebank_assets.environment import restore_environment

    restore_environment()
    assert os.environ["TRACEBANK_DEVICE"] == "mps"
