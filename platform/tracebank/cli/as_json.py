"""The one form of `--json`: what a command found, indented, on stdout."""

from __future__ import annotations

import sys

import msgspec


def write_json(found: object) -> None:
    """Write dataclasses, mappings and lists of them."""
    sys.stdout.write(json_text(found))


def json_text(found: object) -> str:
    """The same as text."""
    return msgspec.json.format(msgspec.json.encode(found)).decode() + "\n"
