WITH returns AS (
    SELECT symbol, minute, log_return
    FROM (
        SELECT
            symbol,
            minute,
            row_number() OVER earlier AS place,
            log(price / lagInFrame(price) OVER earlier) AS log_return
        FROM (
            SELECT symbol, toStartOfMinute(ts) AS minute, argMax(price, seq) AS price
            FROM bench_trades
            WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
            GROUP BY symbol, minute
        )
        WINDOW earlier AS (PARTITION BY symbol ORDER BY minute ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    )
    WHERE place > 1
)
SELECT one.symbol AS a, other.symbol AS b, corrStable(one.log_return, other.log_return) AS correlation, count() AS n
FROM returns AS one
JOIN returns AS other ON one.minute = other.minute
WHERE one.symbol < other.symbol
GROUP BY a, b
HAVING n > 1 AND min(one.log_return) < max(one.log_return) AND min(other.log_return) < max(other.log_return)
