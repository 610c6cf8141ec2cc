"""Views of recorded markets: what is stored, what is missing, and what it looks like."""

from typing import Final

from tracebank.explorer.views import Chart, Parameter, View

VIEWS: Final = (
    View(
        "coverage",
        "What was ingested",
        "market/raw_files",
        """SELECT c.day AS day, c.venue AS venue, c.symbol AS symbol, c.table_name AS table_name,
    sum(c.lines) AS lines, sum(c.stored) AS stored, sum(c.duplicate) AS duplicate, sum(c.ignored) AS ignored,
    sum(c.rows) AS table_rows, count(DISTINCT c.sha256) AS files
FROM relational.ingest_counts AS c
GROUP BY c.day, c.venue, c.symbol, c.table_name
ORDER BY c.day, c.venue, c.symbol, c.table_name""",
        Chart("bars", y="stored", by=("venue", "symbol", "table_name"), y_label="lines stored", apart=("day",)),
        "Every line of every file is accounted for: stored, a duplicate, or ignored; no number, not loaded yet.",
    ),
    View(
        "gaps",
        "Updates that the source skipped",
        "market/book",
        """SELECT g.venue AS venue, g.symbol AS symbol, g.day AS day, count(*) AS gaps,
    sum(g.got_seq - g.expected_seq) AS updates_missing, min(g.ts) AS first_ts, max(g.ts) AS last_ts
FROM relational.sequence_gaps AS g
GROUP BY g.venue, g.symbol, g.day
ORDER BY g.venue, g.symbol, g.day""",
        doc="After a gap the book is stale until a snapshot heals it.",
    ),
    View(
        "quality",
        "Checks of what is stored",
        "market/quality",
        """SELECT q.partition AS part, q.venue AS venue, q.check_name AS check_name, q.value AS found,
    q.checked AS checked, q.passed AS passed, q.measured_at AS measured_at
FROM relational.quality_measures AS q
ORDER BY q.partition, q.venue, q.check_name""",
        doc="Rows that a check found, of those that it looked at.",
    ),
    View(
        "bars",
        "Prices, volumes and spreads",
        "market/bars",
        """SELECT c.line AS line, c.x_unit AS x_unit, c.y_unit AS y_unit, c.rows AS points, c.told AS told,
    c.xs AS xs, c.ys AS ys, c.lows AS lows, c.highs AS highs
FROM relational.curves AS c
WHERE c.subject = 'bars' AND c.run = :run
ORDER BY c.position""",
        Chart("curves", by=("line",), apart=("line",)),
        "Bars of a day: closing price, volume, and mean spread.",
        (
            Parameter(
                "run",
                "Bars",
                "SELECT DISTINCT run FROM relational.curves WHERE subject = 'bars' ORDER BY run",
            ),
        ),
    ),
)
"""In the order in which they are listed."""
