WITH
    moments AS (
        SELECT tupleElement(pair, 1) AS symbol, tupleElement(pair, 2) AS moment
        FROM (SELECT arrayJoin(${moments}) AS pair)
    )
SELECT moments.symbol AS symbol, moments.moment AS moment, trade.price AS price, quote.bid AS bid, quote.ask AS ask
FROM moments
ASOF LEFT JOIN (
    SELECT symbol, ts, argMax(price, seq) AS price
    FROM bench_trades
    WHERE symbol IN (SELECT symbol FROM moments) AND ts <= (SELECT max(moment) FROM moments)
    GROUP BY symbol, ts
) AS trade ON moments.symbol = trade.symbol AND moments.moment >= trade.ts
ASOF LEFT JOIN (
    SELECT symbol, ts, argMax(bid_price_0, seq) AS bid, argMax(ask_price_0, seq) AS ask
    FROM bench_book
    WHERE symbol IN (SELECT symbol FROM moments) AND ts <= (SELECT max(moment) FROM moments)
    GROUP BY symbol, ts
) AS quote ON moments.symbol = quote.symbol AND moments.moment >= quote.ts
SETTINGS join_use_nulls = 1
