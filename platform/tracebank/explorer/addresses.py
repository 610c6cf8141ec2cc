"""Names in addresses: a slash in the name of a model or a dictionary is written `~`, which no name has."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

SLASH: Final = "~"


def in_address(name: str) -> str:
    """A name as a part of a path, fit for an attribute of HTML too."""
    return quote(name.replace("/", SLASH), safe="~@:")


def from_address(part: str) -> str:
    """The name that a part of a path, already decoded, stands for."""
    return part.replace(SLASH, "/")
