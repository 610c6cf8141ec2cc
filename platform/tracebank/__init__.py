"""tracebank: every trace that models and markets leave is a row you can query."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracebank.query.connection import Connection, connect

__all__ = ["Connection", "connect"]


def __getattr__(name: str) -> object:
    """Import the public names on first use, so that `import tracebank` stays cheap."""
    if name in __all__:
        from tracebank.query import connection as session

        return getattr(session, name)
    raise AttributeError(f"module 'tracebank' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What a shell offers after `tracebank.`."""
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__})
