WITH
    [
        ask_price_0, ask_price_1, ask_price_2, ask_price_3, ask_price_4,
        ask_price_5, ask_price_6, ask_price_7, ask_price_8, ask_price_9
    ] AS prices,
    [
        ask_qty_0, ask_qty_1, ask_qty_2, ask_qty_3, ask_qty_4,
        ask_qty_5, ask_qty_6, ask_qty_7, ask_qty_8, ask_qty_9
    ] AS quantities,
    arrayCumSum(quantities) AS depths
SELECT
    seq,
    if(
        depths[10] >= ${qty},
        arraySum((price, held, depth) -> price * greatest(least(held, ${qty} - (depth - held)), 0), prices, quantities, depths)
        / ${qty},
        NULL
    ) AS mean_price
FROM bench_book
WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end}
