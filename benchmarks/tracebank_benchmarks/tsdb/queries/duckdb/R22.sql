WITH ends AS (
    SELECT symbol, time_bucket(INTERVAL 1 MINUTE, ts) AS bucket, arg_max(price, seq) AS price
    FROM bench_trades
    WHERE ts >= ${start} AND ts < ${end}
    GROUP BY ALL
),
returns AS (
    SELECT symbol, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
    FROM ends
)
SELECT
    symbol,
    sqrt(sum(log_return * log_return)) AS realised,
    stddev_samp(log_return) AS deviation,
    count(*) AS n
FROM returns
WHERE log_return IS NOT NULL
GROUP BY symbol
