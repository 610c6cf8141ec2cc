WITH changes AS (
    SELECT seq, price, price IS DISTINCT FROM lag(price) OVER (ORDER BY seq) AS starts
    FROM bench_trades
    WHERE symbol = ${symbol} AND venue = ${venue} AND ts >= ${start} AND ts < ${end}
),
runs AS (
    SELECT seq, price, count_if(starts) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) AS run
    FROM changes
)
SELECT min(seq) AS seq, any_value(price) AS price, count(*) AS n
FROM runs
GROUP BY run
HAVING count(*) >= ${length}
