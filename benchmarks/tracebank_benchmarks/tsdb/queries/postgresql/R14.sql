-- No as-of join: trades and quotes in one order, trades in a group with the quote that they follow.
WITH
    events AS (
        SELECT symbol, ts_ns, 0 AS kind, seq, seq AS book_seq, bid_price_0 AS bid, ask_price_0 AS ask
        FROM bench_book
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        UNION ALL
        SELECT symbol, ts_ns, 1, seq, NULL, NULL, NULL
        FROM bench_trades
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    ),
    counted AS (
        SELECT
            *,
            count(book_seq) OVER (
                PARTITION BY symbol ORDER BY ts_ns, kind, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS quote
        FROM events
    ),
    matched AS (
        SELECT
            kind,
            seq,
            max(book_seq) OVER same AS book_seq,
            max(bid) OVER same AS bid,
            max(ask) OVER same AS ask
        FROM counted
        WINDOW same AS (PARTITION BY symbol, quote)
    )
SELECT seq, book_seq, bid, ask
FROM matched
WHERE kind = 1
