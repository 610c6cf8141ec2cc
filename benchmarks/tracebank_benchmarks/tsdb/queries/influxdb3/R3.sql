-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
SELECT symbol, max(bid_price_0) AS highest_bid FROM bench_book WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY symbol
