-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
-- Bid and ask of a row are points of two series: they are joined first.
WITH quotes AS (
  SELECT b.time, b.ts, b.symbol, b.venue, b.seq,
    b.price_0 AS bid_price_0, a.price_0 AS ask_price_0
  FROM bench_book AS b JOIN bench_book AS a ON b.seq = a.seq AND b.symbol = a.symbol AND b.time = a.time
  WHERE b.side = 'bid' AND a.side = 'ask'
), ends AS (
  SELECT symbol, date_bin(INTERVAL '5 minutes', time) AS bucket, last_value((bid_price_0 + ask_price_0) / 2 ORDER BY seq) AS v
  FROM quotes WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY 1, 2
), returns AS (
  SELECT symbol, bucket, v, ln(v / lag(v) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return FROM ends
)
SELECT symbol, bucket, v AS mid, log_return FROM returns
