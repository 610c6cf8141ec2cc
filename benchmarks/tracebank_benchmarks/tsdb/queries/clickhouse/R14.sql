-- The right side has one row a symbol and time stamp: which of several an as-of join takes is not defined.
SELECT trade.seq AS seq, quote.book_seq AS book_seq, quote.bid AS bid, quote.ask AS ask
FROM (
    SELECT symbol, ts, seq
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
) AS trade
ASOF LEFT JOIN (
    SELECT symbol, ts, max(seq) AS book_seq, argMax(bid_price_0, seq) AS bid, argMax(ask_price_0, seq) AS ask
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY symbol, ts
) AS quote ON trade.symbol = quote.symbol AND trade.ts >= quote.ts
SETTINGS join_use_nulls = 1
