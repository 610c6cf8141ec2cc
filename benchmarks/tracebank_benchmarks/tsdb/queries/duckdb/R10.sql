-- The time is looked up in three columns; the ten levels are fetched of the rows found.
WITH moments(symbol, moment) AS (
    VALUES ${moments}
),
latest AS (
    SELECT symbol, ts, max(seq) AS seq
    FROM bench_book
    WHERE symbol IN (SELECT symbol FROM moments) AND ts <= (SELECT max(moment) FROM moments)
    GROUP BY symbol, ts
),
found AS (
    SELECT moments.symbol, moments.moment, latest.seq
    FROM moments
    ASOF JOIN latest ON moments.symbol = latest.symbol AND moments.moment >= latest.ts
)
SELECT
    found.symbol,
    found.moment,
    bid_price_0, bid_price_1, bid_price_2, bid_price_3, bid_price_4, bid_price_5, bid_price_6, bid_price_7, bid_price_8, bid_price_9,
    bid_qty_0, bid_qty_1, bid_qty_2, bid_qty_3, bid_qty_4, bid_qty_5, bid_qty_6, bid_qty_7, bid_qty_8, bid_qty_9,
    ask_price_0, ask_price_1, ask_price_2, ask_price_3, ask_price_4, ask_price_5, ask_price_6, ask_price_7, ask_price_8, ask_price_9,
    ask_qty_0, ask_qty_1, ask_qty_2, ask_qty_3, ask_qty_4, ask_qty_5, ask_qty_6, ask_qty_7, ask_qty_8, ask_qty_9
FROM bench_book
JOIN found ON bench_book.seq = found.seq
