-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
WITH minutes AS (
  SELECT symbol, date_bin(INTERVAL '1 minute', time) AS minute, sum(qty) AS volume FROM bench_trades WHERE symbol IN (${symbols}) AND time >= ${start} AND time < ${end} GROUP BY 1, 2
), shares AS (
  SELECT CAST(60 * date_part('hour', minute) + date_part('minute', minute) AS BIGINT) AS minute_of_day,
    volume / sum(volume) OVER (PARTITION BY symbol, date_bin(INTERVAL '1 day', minute)) AS share
  FROM minutes
)
SELECT minute_of_day, avg(share) AS share FROM shares GROUP BY minute_of_day
