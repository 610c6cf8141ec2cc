-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
WITH moves AS (
  SELECT time, bid_price_0 AS bid, bid_qty_0 AS bid_qty, ask_price_0 AS ask, ask_qty_0 AS ask_qty,
    lag(bid_price_0) OVER (ORDER BY seq) AS bid_before, lag(bid_qty_0) OVER (ORDER BY seq) AS bid_qty_before,
    lag(ask_price_0) OVER (ORDER BY seq) AS ask_before, lag(ask_qty_0) OVER (ORDER BY seq) AS ask_qty_before
  FROM bench_book WHERE symbol = ${symbol} AND venue = ${venue} AND time >= ${start} AND time < ${end}
)
SELECT date_bin(INTERVAL '1 second', time) AS second,
  sum(CASE WHEN bid >= bid_before THEN bid_qty ELSE 0 END - CASE WHEN bid <= bid_before THEN bid_qty_before ELSE 0 END
    - CASE WHEN ask <= ask_before THEN ask_qty ELSE 0 END + CASE WHEN ask >= ask_before THEN ask_qty_before ELSE 0 END) AS flow
FROM moves WHERE bid_before IS NOT NULL GROUP BY 1
