-- Every row meets every venue of the symbol; a venue's latest quote is carried along its own copy of the rows.
WITH rows AS (
    SELECT ts, seq, venue, bid_price_0, ask_price_0
    FROM bench_book
    WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end}
),
carried AS (
    SELECT
        seq,
        last_value(CASE WHEN rows.venue = venues.venue THEN bid_price_0 END IGNORE NULLS) OVER sofar AS bid,
        last_value(CASE WHEN rows.venue = venues.venue THEN ask_price_0 END IGNORE NULLS) OVER sofar AS ask
    FROM rows, (SELECT DISTINCT venue FROM rows) AS venues
    WINDOW sofar AS (PARTITION BY venues.venue ORDER BY ts, seq ROWS UNBOUNDED PRECEDING)
)
SELECT seq, max(bid) AS best_bid, min(ask) AS best_ask
FROM carried
GROUP BY seq
