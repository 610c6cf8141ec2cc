"""Books carried from day to day: what a day opens on, what it leaves, and which days have to be loaded again for it.

A day stands on the latest closing book before it. Its own says which one was there when it was loaded, so that a day
whose predecessor came or changed later is found and loaded again; that goes on until a closing book stays as it was.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, func, select, tuple_, update
from sqlalchemy.orm import Session

from tracebank.stores.relational import RelationalStore
from tracebank_models.market.carried_book import CarriedBook
from tracebank_schemas.ingest import ClosingBook

Books = Mapping[tuple[str, str], CarriedBook]
"""Books by venue and symbol."""


def opening_books(relational: RelationalStore, day: date, symbol: str) -> dict[tuple[str, str], CarriedBook]:
    """Books that a day may go on with: of each venue the latest that an earlier day left."""
    with relational.reading() as session:
        rows = session.scalars(select(ClosingBook).where(_latest_before(day, symbol)))
        return {(row.venue, row.symbol): _carried(row) for row in rows}


def opening_contents(relational: RelationalStore, day: date, symbol: str) -> list[str]:
    """Digests of the books that a day may go on with."""
    with relational.reading() as session:
        return list(session.scalars(select(ClosingBook.content).where(_latest_before(day, symbol))))


def _latest_before(day: date, symbol: str) -> ColumnElement[bool]:
    earlier = select(ClosingBook.venue, func.max(ClosingBook.day)).where(
        ClosingBook.symbol == symbol, ClosingBook.day < day
    )
    newest = tuple_(ClosingBook.venue, ClosingBook.day).in_(earlier.group_by(ClosingBook.venue))
    return (ClosingBook.symbol == symbol) & newest


def _carried(row: ClosingBook) -> CarriedBook:
    return CarriedBook.of_levels(
        row.levels,
        seq=row.seq,
        after_snapshot=row.after_snapshot,
        state=row.state,
        bids_from=row.bids_from,
        asks_to=row.asks_to,
    )


def closing_rows(day: date, books: Books) -> Iterator[dict[str, Any]]:
    """Rows of `ClosingBook` for the books that a day leaves; `note_opening` completes them."""
    for (venue, symbol), book in books.items():
        yield {
            "venue": venue,
            "symbol": symbol,
            "day": day,
            "seq": book.seq,
            "after_snapshot": book.after_snapshot,
            "state": book.state,
            "bids_from": book.bids_from,
            "asks_to": book.asks_to,
            "bid_levels": len(book.bid_price),
            "ask_levels": len(book.ask_price),
            "levels": book.levels(),
            "content": book.content,
            "opened_on": None,
        }


def note_opening(session: Session, day: date, symbol: str, opening: Books) -> None:
    """Note which closing books were there when a day was loaded: the last step, so a load cut short is repeated."""
    here = (ClosingBook.day == day, ClosingBook.symbol == symbol)
    session.execute(update(ClosingBook).where(*here).values(opened_on=""))
    for (venue, _), book in opening.items():
        session.execute(update(ClosingBook).where(*here, ClosingBook.venue == venue).values(opened_on=book.content))


def outdated_days(relational: RelationalStore, symbols: Iterable[str] | None = None) -> list[tuple[date, str]]:
    """Days and symbols whose book was opened on another closing book than the one that is there now, earliest first.

    Args:
        relational: the catalogue.
        symbols: those looked at; None: all.
    """
    before = func.lag(ClosingBook.content).over(
        partition_by=(ClosingBook.venue, ClosingBook.symbol), order_by=ClosingBook.day
    )
    days = select(ClosingBook.day, ClosingBook.symbol, ClosingBook.opened_on, func.coalesce(before, "").label("before"))
    if symbols is not None:
        days = days.where(ClosingBook.symbol.in_(list(symbols)))
    known = days.subquery()
    outdated = known.c.opened_on.is_(None) | (known.c.opened_on != known.c.before)
    query = select(known.c.day, known.c.symbol).where(outdated).distinct().order_by(known.c.day, known.c.symbol)
    with relational.reading() as session:
        return [(day, symbol) for day, symbol in session.execute(query)]
