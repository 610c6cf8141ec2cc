-- Unrun against InfluxDB 3: no package of it was to be had where this was written.
SELECT symbol, max(bid_price_0) AS highest_bid FROM bench_book WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY symbol
