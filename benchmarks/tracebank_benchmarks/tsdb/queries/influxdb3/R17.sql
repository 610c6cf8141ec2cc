-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
WITH asked AS (
  SELECT symbol, seq, qty FROM bench_trades WHERE seq IN (${seqs})
), later AS (
  SELECT symbol, seq, ts, price, qty FROM bench_trades
  WHERE symbol IN (SELECT symbol FROM asked) AND seq > (SELECT min(seq) FROM asked) AND time < ${end}
), running AS (
  SELECT asked.seq AS asked_seq, asked.qty AS asked_qty, later.seq, later.ts,
    sum(later.qty) OVER (PARTITION BY asked.seq ORDER BY later.seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS traded,
    sum(later.price * later.qty)
      OVER (PARTITION BY asked.seq ORDER BY later.seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS paid
  FROM asked JOIN later ON asked.symbol = later.symbol AND later.seq > asked.seq
), multiples AS (
  SELECT column1 AS multiple FROM (VALUES (2), (4), (20))
), reached AS (
  SELECT asked_seq, multiple, first_value(ts ORDER BY seq) AS reached, first_value(paid / traded ORDER BY seq) AS vwap
  FROM running JOIN multiples ON traded >= multiple * asked_qty GROUP BY asked_seq, multiple
)
SELECT asked.seq, multiples.multiple, reached.reached, reached.vwap
FROM asked CROSS JOIN multiples
LEFT JOIN reached ON asked.seq = reached.asked_seq AND multiples.multiple = reached.multiple
