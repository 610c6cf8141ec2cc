SELECT time_bucket('1 minute', ts) AS minute, max(price) AS high
FROM bench_trades
WHERE ts < ${end}
GROUP BY minute
ORDER BY minute DESC
LIMIT 5
