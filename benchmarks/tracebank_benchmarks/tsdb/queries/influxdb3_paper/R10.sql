-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
-- Bid and ask of a row are points of two series: they are joined first.
-- As-of by carrying forward: moments stand among the rows, after those of their own time; the levels are fetched last.
WITH quotes AS (
  SELECT b.time, b.ts, b.symbol, b.venue, b.seq,
    b.price_0 AS bid_price_0, b.price_1 AS bid_price_1, b.price_2 AS bid_price_2, b.price_3 AS bid_price_3,
    b.price_4 AS bid_price_4, b.price_5 AS bid_price_5, b.price_6 AS bid_price_6, b.price_7 AS bid_price_7,
    b.price_8 AS bid_price_8, b.price_9 AS bid_price_9, b.qty_0 AS bid_qty_0, b.qty_1 AS bid_qty_1,
    b.qty_2 AS bid_qty_2, b.qty_3 AS bid_qty_3, b.qty_4 AS bid_qty_4, b.qty_5 AS bid_qty_5,
    b.qty_6 AS bid_qty_6, b.qty_7 AS bid_qty_7, b.qty_8 AS bid_qty_8, b.qty_9 AS bid_qty_9,
    a.price_0 AS ask_price_0, a.price_1 AS ask_price_1, a.price_2 AS ask_price_2, a.price_3 AS ask_price_3,
    a.price_4 AS ask_price_4, a.price_5 AS ask_price_5, a.price_6 AS ask_price_6, a.price_7 AS ask_price_7,
    a.price_8 AS ask_price_8, a.price_9 AS ask_price_9, a.qty_0 AS ask_qty_0, a.qty_1 AS ask_qty_1,
    a.qty_2 AS ask_qty_2, a.qty_3 AS ask_qty_3, a.qty_4 AS ask_qty_4, a.qty_5 AS ask_qty_5,
    a.qty_6 AS ask_qty_6, a.qty_7 AS ask_qty_7, a.qty_8 AS ask_qty_8, a.qty_9 AS ask_qty_9
  FROM bench_book AS b JOIN bench_book AS a ON b.seq = a.seq AND b.symbol = a.symbol AND b.time = a.time
  WHERE b.side = 'bid' AND a.side = 'ask'
), asked AS (
  SELECT CAST(column1 AS VARCHAR) AS symbol, CAST(column2 AS TIMESTAMP) AS moment FROM (VALUES ${moments})
), moments AS (
  SELECT symbol, moment, CAST(moment AS BIGINT) AS at FROM asked WHERE symbol IS NOT NULL
), ordered AS (
  SELECT CAST(symbol AS VARCHAR) AS symbol, ts AS at, 0 AS later, seq FROM quotes
  WHERE symbol IN (SELECT symbol FROM moments) AND time < (SELECT max(moment) FROM moments) + INTERVAL '1 second'
  UNION ALL
  SELECT symbol, at, 1, NULL FROM moments
), found AS (
  SELECT at AS moment, later, last_value(seq) IGNORE NULLS
    OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS seq
  FROM ordered
)
SELECT quotes.symbol, found.moment,
    bid_price_0, bid_price_1, bid_price_2, bid_price_3, bid_price_4,
    bid_price_5, bid_price_6, bid_price_7, bid_price_8, bid_price_9,
    bid_qty_0, bid_qty_1, bid_qty_2, bid_qty_3, bid_qty_4,
    bid_qty_5, bid_qty_6, bid_qty_7, bid_qty_8, bid_qty_9,
    ask_price_0, ask_price_1, ask_price_2, ask_price_3, ask_price_4,
    ask_price_5, ask_price_6, ask_price_7, ask_price_8, ask_price_9,
    ask_qty_0, ask_qty_1, ask_qty_2, ask_qty_3, ask_qty_4,
    ask_qty_5, ask_qty_6, ask_qty_7, ask_qty_8, ask_qty_9
FROM quotes JOIN found ON quotes.seq = found.seq WHERE found.later = 1
