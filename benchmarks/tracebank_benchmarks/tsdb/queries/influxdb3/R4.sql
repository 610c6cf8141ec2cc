-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
SELECT symbol, avg(ask_price_0 - bid_price_0) AS spread,
  1e4 * avg((ask_price_0 - bid_price_0) / ((bid_price_0 + ask_price_0) / 2)) AS spread_bps
FROM bench_book WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY symbol
