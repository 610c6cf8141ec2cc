-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
-- Bid and ask of a row are points of two series: they are joined first.
WITH quotes AS (
  SELECT b.time, b.ts, b.symbol, b.venue, b.seq,
    b.price_0 AS bid_price_0, a.price_0 AS ask_price_0
  FROM bench_book AS b JOIN bench_book AS a ON b.seq = a.seq AND b.symbol = a.symbol AND b.time = a.time
  WHERE b.side = 'bid' AND a.side = 'ask'
)
SELECT symbol, avg(ask_price_0 - bid_price_0) AS spread,
  1e4 * avg((ask_price_0 - bid_price_0) / ((bid_price_0 + ask_price_0) / 2)) AS spread_bps
FROM quotes WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY symbol
