-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
-- Bid and ask of a row are points of two series: they are joined first.
-- As-of by carrying forward: trades stand among the book's rows, after those of their own time.
WITH quotes AS (
  SELECT b.time, b.ts, b.symbol, b.venue, b.seq,
    b.price_0 AS bid_price_0, a.price_0 AS ask_price_0
  FROM bench_book AS b JOIN bench_book AS a ON b.seq = a.seq AND b.symbol = a.symbol AND b.time = a.time
  WHERE b.side = 'bid' AND a.side = 'ask'
), ordered AS (
  SELECT symbol, ts AS at, 0 AS later, seq, seq AS book_seq, bid_price_0 AS bid, ask_price_0 AS ask FROM quotes WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end}
  UNION ALL
  SELECT symbol, ts, 1, seq, NULL, NULL, NULL FROM bench_trades WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end}
), carried AS (
  SELECT later, seq,
    last_value(book_seq) IGNORE NULLS OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS book_seq,
    last_value(bid) IGNORE NULLS OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS bid,
    last_value(ask) IGNORE NULLS OVER (PARTITION BY symbol ORDER BY at, later, seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS ask
  FROM ordered
)
SELECT seq, book_seq, bid, ask FROM carried WHERE later = 1
