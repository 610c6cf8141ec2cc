"""Mistakes that people make in a query, with the end of what they are told: the same on every engine."""

from __future__ import annotations

from typing import Final

MISTAKES: Final = (
    ('SELECT * FROM series.trades WHERE symbol = "BTCUSDT"', "; a text stands in single quotes: 'BTCUSDT'"),
    ('SELECT * FROM trades WHERE symbol IN ("BTCUSDT", "X")', "; a text stands in single quotes: 'BTCUSDT'"),
    ("SELEC 1", ". Did you mean SELECT?"),
    ("SELECT * FORM series.trades", ". Did you mean FROM?"),
    ("SELECT * FROM series.trades WHER symbol = 'x'", ". Did you mean WHERE?"),
    ("SELECT * FROM series.trades LIMT 5", ". Did you mean LIMIT?"),
    ("SELECT * FROM series.trades ODER BY ts", ". Did you mean ORDER?"),
    ("SELECT * FROM series.trads", ". Did you mean series.trades?"),
    ("SELECT * FROM trads", ". Did you mean series.trades?"),
    ("SELECT * FROM serie.trades", ". Did you mean series.trades?"),
    ("SELECT * FROM instruments", ". Did you mean relational.instruments?"),
    ("SELECT * FROM relational.instrumnts", ". Did you mean relational.instruments?"),
    ("SELECT * FROM relational.trades", ". Did you mean series.trades?"),
    ("SELECT * FROM series.xyzzy", "; 'tracebank tables' lists what there is"),
    ("SELECT pric FROM series.trades", ". Did you mean price?"),
    ("SELECT sum(symbl) FROM series.trades", ". Did you mean symbol?"),
)
"""Statements, and how the message ends."""

HIDDEN: Final = ("_relational", "_activations", ".stage", "default.")
"""What no message and no list names, unless the query did."""
