SELECT
    symbol, time_bucket('1 minute', ts) AS minute, sum(price * qty) / sum(qty) AS vwap, sum(qty) AS volume, count(*) AS n
FROM bench_trades
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol, minute
