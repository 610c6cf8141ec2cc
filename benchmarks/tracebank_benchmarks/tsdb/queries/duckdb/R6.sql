WITH ends AS (
    SELECT symbol, time_bucket(INTERVAL 5 MINUTE, ts) AS bucket, arg_max((bid_price_0 + ask_price_0) / 2, seq) AS mid
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY ALL
)
SELECT symbol, bucket, mid, ln(mid / lag(mid) OVER (PARTITION BY symbol ORDER BY bucket)) AS log_return
FROM ends
