"""The blocks of the documentation: where they stand, what they hold, and why some are not run.

A block that cannot run says so in its fence, behind the language: ```bash (not run: a server of yours); one that is a
file of the reader's names it: ```toml (file: fills.toml)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
_FENCE: Final = re.compile(r"^```([^\n`]*)\n(.*?)^```\s*$", re.DOTALL | re.MULTILINE)
_INFO: Final = re.compile(r"(\w*)(?: \((?:not run: (.+)|file: (\S+))\))?")
LANGUAGES: Final = ("bash", "console", "sql", "python", "toml", "csv", "output")
"""What a fence may be; an `output` belongs to the block above it."""


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    place: str
    """File and line."""
    language: str
    text: str
    reason: str
    """Why it is not run; empty where it is."""
    file: str = ""
    """Name of the file that it is, in the reader's folder."""
    output: str = ""
    """What the documentation shows of its answer."""


def blocks() -> list[Block]:
    """Every block of the README and of docs."""
    files = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [block for file in files for block in blocks_of(file.relative_to(ROOT).as_posix(), file.read_text("utf-8"))]


def blocks_of(name: str, text: str) -> list[Block]:
    """Every block of a text.

    Raises:
        ValueError: a fence is of no known language, or says something else behind it.
    """
    found: list[Block] = []
    for fence in _FENCE.finditer(text):
        place = f"{name}:{text.count(chr(10), 0, fence.start()) + 1}"
        info = _INFO.fullmatch(fence.group(1).strip())
        if info is None or info.group(1) not in LANGUAGES:
            raise ValueError(
                f"{place}: {fence.group(1)!r} is no fence; use {', '.join(LANGUAGES)}, (not run: why), (file: name)"
            )
        if info.group(1) == "output":
            above = found.pop()
            found.append(Block(above.place, above.language, above.text, above.reason, above.file, fence.group(2)))
        else:
            found.append(Block(place, info.group(1), fence.group(2), info.group(2) or "", info.group(3) or ""))
    return found
