-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
-- Bid and ask of a row are points of two series: they are joined first.
WITH quotes AS (
  SELECT b.time, b.ts, b.symbol, b.venue, b.seq,
    b.qty_0 AS bid_qty_0, b.qty_1 AS bid_qty_1, b.qty_2 AS bid_qty_2, b.qty_3 AS bid_qty_3,
    b.qty_4 AS bid_qty_4, a.qty_0 AS ask_qty_0, a.qty_1 AS ask_qty_1, a.qty_2 AS ask_qty_2,
    a.qty_3 AS ask_qty_3, a.qty_4 AS ask_qty_4
  FROM bench_book AS b JOIN bench_book AS a ON b.seq = a.seq AND b.symbol = a.symbol AND b.time = a.time
  WHERE b.side = 'bid' AND a.side = 'ask'
), sums AS (
  SELECT symbol, date_bin(INTERVAL '1 minute', time) AS minute, bid_qty_0 + bid_qty_1 + bid_qty_2 + bid_qty_3 + bid_qty_4 AS b,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 AS a
  FROM quotes WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end}
)
SELECT symbol, minute, avg((b - a) / (b + a)) AS imbalance FROM sums GROUP BY 1, 2
