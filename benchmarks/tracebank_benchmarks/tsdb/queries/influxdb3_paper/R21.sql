-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
-- Bid and ask of a row are points of two series: they are joined first.
WITH quotes AS (
  SELECT b.time, b.ts, b.symbol, b.venue, b.seq,
    b.price_0 AS bid_price_0, b.qty_0 AS bid_qty_0, a.price_0 AS ask_price_0, a.qty_0 AS ask_qty_0
  FROM bench_book AS b JOIN bench_book AS a ON b.seq = a.seq AND b.symbol = a.symbol AND b.time = a.time
  WHERE b.side = 'bid' AND a.side = 'ask'
), moves AS (
  SELECT time, bid_price_0 AS bid, bid_qty_0 AS bid_qty, ask_price_0 AS ask, ask_qty_0 AS ask_qty,
    lag(bid_price_0) OVER (ORDER BY seq) AS bid_before, lag(bid_qty_0) OVER (ORDER BY seq) AS bid_qty_before,
    lag(ask_price_0) OVER (ORDER BY seq) AS ask_before, lag(ask_qty_0) OVER (ORDER BY seq) AS ask_qty_before
  FROM quotes WHERE symbol = ${symbol} AND venue = ${venue} AND time >= ${start} AND time < ${end}
)
SELECT date_bin(INTERVAL '1 second', time) AS second,
  sum(CASE WHEN bid >= bid_before THEN bid_qty ELSE 0 END - CASE WHEN bid <= bid_before THEN bid_qty_before ELSE 0 END
    - CASE WHEN ask <= ask_before THEN ask_qty ELSE 0 END + CASE WHEN ask >= ask_before THEN ask_qty_before ELSE 0 END) AS flow
FROM moves WHERE bid_before IS NOT NULL GROUP BY 1
