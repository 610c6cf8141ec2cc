-- lagInFrame gives 0 before the first row, which has no return.
SELECT symbol, bucket, mid, if(row_number() OVER earlier = 1, NULL, log(mid / lagInFrame(mid) OVER earlier)) AS log_return
FROM (
    SELECT symbol, toStartOfInterval(ts, INTERVAL 5 MINUTE) AS bucket, argMax((bid_price_0 + ask_price_0) / 2, seq) AS mid
    FROM bench_book
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY symbol, bucket
)
WINDOW earlier AS (PARTITION BY symbol ORDER BY bucket ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
