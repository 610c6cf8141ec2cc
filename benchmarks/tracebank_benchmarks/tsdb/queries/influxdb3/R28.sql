-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
WITH changes AS (
  SELECT seq, price, CASE WHEN price IS DISTINCT FROM lag(price) OVER (ORDER BY seq) THEN 1 ELSE 0 END AS starts
  FROM bench_trades WHERE symbol = ${symbol} AND venue = ${venue} AND time >= ${start} AND time < ${end}
), runs AS (
  SELECT seq, price, sum(starts) OVER (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS run FROM changes
)
SELECT min(seq) AS seq, min(price) AS price, count(*) AS n FROM runs GROUP BY run HAVING count(*) >= ${length}
