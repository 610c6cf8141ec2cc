SELECT toStartOfSecond(ts) AS second, sum(flow) AS flow
FROM (
    SELECT
        ts,
        row_number() OVER earlier AS place,
        lagInFrame(bid_price_0) OVER earlier AS bid_before,
        lagInFrame(bid_qty_0) OVER earlier AS bid_qty_before,
        lagInFrame(ask_price_0) OVER earlier AS ask_before,
        lagInFrame(ask_qty_0) OVER earlier AS ask_qty_before,
        if(bid_price_0 >= bid_before, bid_qty_0, 0) - if(bid_price_0 <= bid_before, bid_qty_before, 0)
        - if(ask_price_0 <= ask_before, ask_qty_0, 0) + if(ask_price_0 >= ask_before, ask_qty_before, 0) AS flow
    FROM bench_book
    WHERE symbol = ${symbol} AND venue = ${venue} AND ts >= ${start} AND ts < ${end}
    WINDOW earlier AS (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
WHERE place > 1
GROUP BY second
