-- Unrun against InfluxDB 3: no package of it was to be had where this was written.
SELECT symbol, sum(bid_price_0 * bid_qty_0) / sum(bid_qty_0) AS vwab FROM bench_book WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY symbol
