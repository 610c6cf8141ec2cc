WITH ends AS (
    SELECT symbol, time_bucket(INTERVAL 1 MINUTE, ts) AS bucket, arg_max(price, seq) AS price
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY ALL
),
returns AS (
    SELECT symbol, bucket, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
    FROM ends
)
SELECT
    l.symbol AS a,
    r.symbol AS b,
    corr(l.log_return, r.log_return) AS correlation,
    count(*) AS n
FROM returns AS l
JOIN returns AS r ON l.bucket = r.bucket AND l.symbol < r.symbol
WHERE l.log_return IS NOT NULL AND r.log_return IS NOT NULL
GROUP BY l.symbol, r.symbol
HAVING count(*) >= 2
    AND min(l.log_return) < max(l.log_return)
    AND min(r.log_return) < max(r.log_return)
