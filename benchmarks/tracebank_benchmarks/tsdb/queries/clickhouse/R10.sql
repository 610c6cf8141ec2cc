-- The join finds the row's seq over narrow columns, one row a time stamp; the forty levels are read of those rows only.
WITH
    moments AS (
        SELECT tupleElement(pair, 1) AS symbol, tupleElement(pair, 2) AS moment
        FROM (SELECT arrayJoin(${moments}) AS pair)
    ),
    latest AS (
        SELECT moments.symbol AS symbol, moments.moment AS moment, book.seq AS seq
        FROM moments
        ASOF JOIN (
            SELECT b.symbol AS symbol, b.ts AS ts, max(b.seq) AS seq
            FROM bench_book AS b
            WHERE b.symbol IN (SELECT symbol FROM moments) AND b.ts <= (SELECT max(moment) FROM moments)
            GROUP BY b.symbol, b.ts
        ) AS book ON moments.symbol = book.symbol AND moments.moment >= book.ts
    )
SELECT
    latest.symbol AS symbol,
    latest.moment AS moment,
    book.bid_price_0, book.bid_price_1, book.bid_price_2, book.bid_price_3, book.bid_price_4,
    book.bid_price_5, book.bid_price_6, book.bid_price_7, book.bid_price_8, book.bid_price_9,
    book.bid_qty_0, book.bid_qty_1, book.bid_qty_2, book.bid_qty_3, book.bid_qty_4,
    book.bid_qty_5, book.bid_qty_6, book.bid_qty_7, book.bid_qty_8, book.bid_qty_9,
    book.ask_price_0, book.ask_price_1, book.ask_price_2, book.ask_price_3, book.ask_price_4,
    book.ask_price_5, book.ask_price_6, book.ask_price_7, book.ask_price_8, book.ask_price_9,
    book.ask_qty_0, book.ask_qty_1, book.ask_qty_2, book.ask_qty_3, book.ask_qty_4,
    book.ask_qty_5, book.ask_qty_6, book.ask_qty_7, book.ask_qty_8, book.ask_qty_9
FROM latest
JOIN (
    SELECT * FROM bench_book WHERE symbol IN (SELECT symbol FROM latest) AND seq IN (SELECT seq FROM latest)
) AS book ON latest.seq = book.seq
