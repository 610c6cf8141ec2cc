-- The latest quote of every venue, carried along in a map from venue to price.
SELECT
    seq,
    arrayMax(mapValues(anyLastMap(map(venue, bid_price_0)) OVER earlier)) AS best_bid,
    arrayMin(mapValues(anyLastMap(map(venue, ask_price_0)) OVER earlier)) AS best_ask
FROM bench_book
WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end}
WINDOW earlier AS (ORDER BY ts, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
