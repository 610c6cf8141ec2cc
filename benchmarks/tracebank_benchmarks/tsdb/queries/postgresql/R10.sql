-- The time stamp is what the index has; its nanoseconds decide within the microsecond.
SELECT
    moments.symbol,
    moments.moment,
    book.bid_price_0, book.bid_price_1, book.bid_price_2, book.bid_price_3, book.bid_price_4,
    book.bid_price_5, book.bid_price_6, book.bid_price_7, book.bid_price_8, book.bid_price_9,
    book.bid_qty_0, book.bid_qty_1, book.bid_qty_2, book.bid_qty_3, book.bid_qty_4,
    book.bid_qty_5, book.bid_qty_6, book.bid_qty_7, book.bid_qty_8, book.bid_qty_9,
    book.ask_price_0, book.ask_price_1, book.ask_price_2, book.ask_price_3, book.ask_price_4,
    book.ask_price_5, book.ask_price_6, book.ask_price_7, book.ask_price_8, book.ask_price_9,
    book.ask_qty_0, book.ask_qty_1, book.ask_qty_2, book.ask_qty_3, book.ask_qty_4,
    book.ask_qty_5, book.ask_qty_6, book.ask_qty_7, book.ask_qty_8, book.ask_qty_9
FROM (VALUES ${moments}) AS moments (symbol, moment, at)
CROSS JOIN LATERAL (
    SELECT *
    FROM bench_book
    WHERE bench_book.symbol = moments.symbol AND bench_book.ts <= moments.at AND bench_book.ts_ns <= moments.moment
    ORDER BY bench_book.ts DESC, bench_book.seq DESC
    LIMIT 1
) AS book
