WITH ends AS (
    SELECT symbol, time_bucket(INTERVAL 5 MINUTE, ts) AS bucket, arg_max((bid_price_0 + ask_price_0) / 2, seq) AS price
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY ALL
),
returns AS (
    SELECT symbol, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
    FROM ends
)
SELECT symbol, stddev_samp(log_return) AS volatility, count(*) AS n
FROM returns
WHERE log_return IS NOT NULL
GROUP BY symbol
