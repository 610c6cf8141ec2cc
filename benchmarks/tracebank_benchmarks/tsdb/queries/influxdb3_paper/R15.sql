-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
WITH quotes AS (
  SELECT time, ts, symbol, venue, seq,
    price_0 AS bid_price_0, qty_0 AS bid_qty_0
  FROM bench_book WHERE side = 'bid'
)
SELECT symbol, sum(bid_price_0 * bid_qty_0) / sum(bid_qty_0) AS vwab FROM quotes WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY symbol
