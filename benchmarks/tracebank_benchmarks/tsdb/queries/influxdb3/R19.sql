-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
WITH sums AS (
  SELECT symbol, date_bin(INTERVAL '1 minute', time) AS minute, bid_qty_0 + bid_qty_1 + bid_qty_2 + bid_qty_3 + bid_qty_4 AS b,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 AS a
  FROM bench_book WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end}
)
SELECT symbol, minute, avg((b - a) / (b + a)) AS imbalance FROM sums GROUP BY 1, 2
