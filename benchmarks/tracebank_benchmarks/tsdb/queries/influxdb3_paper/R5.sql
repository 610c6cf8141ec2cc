-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
-- Bid and ask of a row are points of two series: they are joined first.
-- Every row meets every venue of the symbol; a venue's latest quote is carried along its own copy of the rows.
WITH quotes AS (
  SELECT b.time, b.ts, b.symbol, b.venue, b.seq,
    b.price_0 AS bid_price_0, a.price_0 AS ask_price_0
  FROM bench_book AS b JOIN bench_book AS a ON b.seq = a.seq AND b.symbol = a.symbol AND b.time = a.time
  WHERE b.side = 'bid' AND a.side = 'ask'
), rows AS (
  SELECT ts, seq, venue, bid_price_0, ask_price_0 FROM quotes WHERE symbol = ${symbol} AND time >= ${start} AND time < ${end}
), carried AS (
  SELECT seq,
    last_value(CASE WHEN rows.venue = venues.venue THEN bid_price_0 END) IGNORE NULLS
      OVER (PARTITION BY venues.venue ORDER BY ts, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS bid,
    last_value(CASE WHEN rows.venue = venues.venue THEN ask_price_0 END) IGNORE NULLS
      OVER (PARTITION BY venues.venue ORDER BY ts, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS ask
  FROM rows CROSS JOIN (SELECT DISTINCT venue FROM rows) AS venues
)
SELECT seq, max(bid) AS best_bid, min(ask) AS best_ask FROM carried GROUP BY seq
