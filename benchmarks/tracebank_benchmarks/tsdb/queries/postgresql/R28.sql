SELECT min(seq) AS seq, min(price) AS price, count(*) AS n
FROM (
    SELECT seq, price, count(*) FILTER (WHERE starts) OVER (ORDER BY seq) AS run
    FROM (
        SELECT seq, price, (price = lag(price) OVER (ORDER BY seq)) IS NOT TRUE AS starts
        FROM bench_trades
        WHERE symbol = ${symbol} AND venue = ${venue} AND ts >= ${start} AND ts < ${end}
    ) AS marked
) AS runs
GROUP BY run
HAVING count(*) >= ${length}
