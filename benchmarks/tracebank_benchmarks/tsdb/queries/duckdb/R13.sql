WITH moments(symbol, moment) AS (
    VALUES ${moments}
),
prints AS (
    SELECT symbol, ts, arg_max(price, seq) AS price
    FROM bench_trades
    WHERE symbol IN (SELECT symbol FROM moments) AND ts <= (SELECT max(moment) FROM moments)
    GROUP BY symbol, ts
),
quotes AS (
    SELECT symbol, ts, arg_max(bid_price_0, seq) AS bid, arg_max(ask_price_0, seq) AS ask
    FROM bench_book
    WHERE symbol IN (SELECT symbol FROM moments) AND ts <= (SELECT max(moment) FROM moments)
    GROUP BY symbol, ts
)
SELECT moments.symbol, moments.moment, prints.price, quotes.bid, quotes.ask
FROM moments
ASOF LEFT JOIN prints ON moments.symbol = prints.symbol AND moments.moment >= prints.ts
ASOF LEFT JOIN quotes ON moments.symbol = quotes.symbol AND moments.moment >= quotes.ts
