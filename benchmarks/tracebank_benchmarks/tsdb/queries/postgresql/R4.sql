SELECT
    symbol,
    avg(ask_price_0 - bid_price_0) AS spread,
    1e4::float8 * avg((ask_price_0 - bid_price_0) / ((bid_price_0 + ask_price_0) / 2)) AS spread_bps
FROM bench_book
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol
