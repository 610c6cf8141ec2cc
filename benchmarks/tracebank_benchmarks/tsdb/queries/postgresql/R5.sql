-- No IGNORE NULLS: a quote and the rows after it up to the venue's next one have one count of quotes.
WITH
    quotes AS (
        SELECT seq, ts_ns, venue, bid_price_0 AS bid, ask_price_0 AS ask
        FROM bench_book
        WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end}
    ),
    counted AS (
        SELECT
            quotes.seq,
            venues.venue,
            CASE WHEN quotes.venue = venues.venue THEN quotes.bid END AS bid,
            CASE WHEN quotes.venue = venues.venue THEN quotes.ask END AS ask,
            count(*) FILTER (WHERE quotes.venue = venues.venue) OVER (
                PARTITION BY venues.venue ORDER BY quotes.ts_ns, quotes.seq
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS quote
        FROM quotes
        CROSS JOIN (SELECT DISTINCT venue FROM quotes) AS venues
    ),
    carried AS (
        SELECT
            seq,
            max(bid) OVER (PARTITION BY venue, quote) AS bid,
            max(ask) OVER (PARTITION BY venue, quote) AS ask
        FROM counted
        WHERE quote > 0
    )
SELECT seq, max(bid) AS best_bid, min(ask) AS best_ask
FROM carried
GROUP BY seq
