WITH returns AS (
    SELECT symbol, minute, ln(price / lag(price) OVER (PARTITION BY symbol ORDER BY minute)) AS log_return
    FROM (
        SELECT symbol, date_trunc('minute', ts) AS minute, (array_agg(price ORDER BY seq DESC))[1] AS price
        FROM bench_trades
        WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
        GROUP BY symbol, minute
    ) AS closes
)
SELECT one.symbol AS a, other.symbol AS b, corr(one.log_return, other.log_return) AS correlation, count(*) AS n
FROM returns AS one
JOIN returns AS other ON one.minute = other.minute AND one.symbol < other.symbol
WHERE one.log_return IS NOT NULL AND other.log_return IS NOT NULL
GROUP BY a, b
HAVING
    count(*) > 1
    AND min(one.log_return) < max(one.log_return)
    AND min(other.log_return) < max(other.log_return)
