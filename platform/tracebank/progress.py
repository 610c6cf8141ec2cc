"""Progress of long work: the code that works says how far it is, and whoever started it decides whether to show it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

Advance = Callable[[float], None]
"""Called with how much more has been done."""

_shown: ContextVar[Progress | None] = ContextVar("shown", default=None)


@contextmanager
def shown_on(console: Console) -> Iterator[None]:
    """Show a bar for every `track` inside the block, when the console is a terminal."""
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        token = _shown.set(progress)
        try:
            yield
        finally:
            _shown.reset(token)


@contextmanager
def track(description: str, total: float | None) -> Iterator[Advance]:
    """Tell how far a piece of work is: call what is yielded with each further amount, out of `total`."""
    progress = _shown.get()
    if progress is None:
        yield lambda _amount: None
        return
    task = progress.add_task(description, total=total)
    try:
        yield lambda amount: progress.advance(task, amount)
    finally:
        progress.remove_task(task)


def advancing(advance: Advance) -> Callable[[int, int], None]:
    """A bar's way to be told how much is done in all, and of how much."""
    before = 0

    def tell(done: int, _total: int) -> None:
        nonlocal before
        advance(done - before)
        before = done

    return tell
