-- Quotes that tie in time are cut down to the one of highest seq: an as-of join may take any of them.
WITH quotes AS (
    SELECT symbol, ts, max(seq) AS book_seq, arg_max(bid_price_0, seq) AS bid, arg_max(ask_price_0, seq) AS ask
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY symbol, ts
),
prints AS (
    SELECT seq, symbol, ts
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
)
SELECT prints.seq, quotes.book_seq, quotes.bid, quotes.ask
FROM prints
ASOF LEFT JOIN quotes ON prints.symbol = quotes.symbol AND prints.ts >= quotes.ts
