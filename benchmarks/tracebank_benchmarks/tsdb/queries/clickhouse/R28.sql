SELECT min(runs.seq) AS seq, any(runs.price) AS price, count() AS n
FROM (
    SELECT seq, price, sum(starts) OVER (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS run
    FROM (
        SELECT seq, price, row_number() OVER earlier = 1 OR price != lagInFrame(price) OVER earlier AS starts
        FROM bench_trades
        WHERE symbol = ${symbol} AND venue = ${venue} AND ts >= ${start} AND ts < ${end}
        WINDOW earlier AS (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    )
) AS runs
GROUP BY run
HAVING n >= ${length}
