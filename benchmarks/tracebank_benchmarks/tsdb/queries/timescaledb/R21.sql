SELECT time_bucket('1 second', ts) AS second, sum(flow) AS flow
FROM (
    SELECT
        ts,
        CASE WHEN bid_price_0 >= lag(bid_price_0) OVER earlier THEN bid_qty_0 ELSE 0 END
        - CASE WHEN bid_price_0 <= lag(bid_price_0) OVER earlier THEN lag(bid_qty_0) OVER earlier ELSE 0 END
        - CASE WHEN ask_price_0 <= lag(ask_price_0) OVER earlier THEN ask_qty_0 ELSE 0 END
        + CASE WHEN ask_price_0 >= lag(ask_price_0) OVER earlier THEN lag(ask_qty_0) OVER earlier ELSE 0 END AS flow,
        row_number() OVER earlier AS place
    FROM bench_book
    WHERE symbol = ${symbol} AND venue = ${venue} AND ts >= ${start} AND ts < ${end}
    WINDOW earlier AS (ORDER BY seq)
) AS changes
WHERE place > 1
GROUP BY second
