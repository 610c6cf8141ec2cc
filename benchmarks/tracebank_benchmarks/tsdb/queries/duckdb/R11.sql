SELECT
    symbol,
    time_bucket(INTERVAL 1 MINUTE, ts) AS minute,
    arg_min(price, seq) AS open,
    max(price) AS high,
    min(price) AS low,
    arg_max(price, seq) AS close,
    sum(qty) AS volume,
    count(*) AS n
FROM bench_trades
WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
GROUP BY symbol, minute
