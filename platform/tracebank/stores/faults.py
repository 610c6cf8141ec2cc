"""What goes wrong with a store, as one line each: what, where, and what to do."""

from __future__ import annotations


class StoreError(RuntimeError):
    """A store could not do what was asked: one line with what, where and what to do. Old rows stand."""


class StoreBusy(StoreError):
    """Somebody else has what a write needs, and did not let go in time."""


class StatementTimeout(StoreError, TimeoutError):
    """A statement ran longer than it may."""


class FrameRefused(StoreError, ValueError):
    """A frame does not fit its table's declaration; nothing was written."""


class SchemaDrift(StoreError):
    """The table that stands differs from its declaration in more than columns to add."""
