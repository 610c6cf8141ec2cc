-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
WITH quotes AS (
  SELECT time, ts, symbol, venue, seq,
    price_0 AS bid_price_0
  FROM bench_book WHERE side = 'bid'
)
SELECT symbol, max(bid_price_0) AS highest_bid FROM quotes WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY symbol
