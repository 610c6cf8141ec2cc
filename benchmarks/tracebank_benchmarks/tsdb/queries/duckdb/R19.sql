WITH depths AS (
    SELECT
        symbol,
        time_bucket(INTERVAL 1 MINUTE, ts) AS minute,
        bid_qty_0 + bid_qty_1 + bid_qty_2 + bid_qty_3 + bid_qty_4 AS bids,
        ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 AS asks
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
)
SELECT symbol, minute, avg((bids - asks) / (bids + asks)) AS imbalance
FROM depths
GROUP BY symbol, minute
