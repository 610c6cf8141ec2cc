SELECT symbol, minute, volume, avg(volume) OVER (PARTITION BY symbol) AS mean_volume
FROM (
    SELECT symbol, date_trunc('minute', ts) AS minute, sum(qty) AS volume
    FROM bench_trades
    WHERE symbol IN (${symbols}) AND ts >= ${start} AND ts < ${end}
    GROUP BY symbol, minute
) AS minutes
