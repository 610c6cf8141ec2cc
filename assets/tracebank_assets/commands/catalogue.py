"""What commands about models and dictionaries have in common: the catalogue opened, and one line for what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tracebank.settings import Settings
    from tracebank.stores.relational import RelationalStore


@contextmanager
def catalogue() -> Iterator[tuple[Settings, RelationalStore]]:
    """Settings and the relational store, brought up to date.

    Raises:
        click.UsageError: What was asked for is not allowed.
        click.ClickException: Something that it needs is not there.
    """
    import dagster as dg

    from tracebank.settings import Settings
    from tracebank.stores.opening import open_relational, upgrade

    settings = Settings.load()
    upgrade(settings)
    relational = open_relational(settings)
    try:
        yield settings, relational
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except dg.Failure as error:
        raise click.ClickException(str(error.description)) from error
    finally:
        relational.close()
