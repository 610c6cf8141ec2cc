SELECT
    seq,
    CASE
        WHEN ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3
            + ask_qty_4 + ask_qty_5 + ask_qty_6 + ask_qty_7 + ask_qty_8 + ask_qty_9 >= ${qty}
        THEN (
            ask_price_0 * greatest(least(ask_qty_0, ${qty}), 0)
            + ask_price_1 * greatest(least(ask_qty_1, ${qty} - ask_qty_0), 0)
            + ask_price_2 * greatest(least(ask_qty_2, ${qty} - (ask_qty_0 + ask_qty_1)), 0)
            + ask_price_3 * greatest(least(ask_qty_3, ${qty} - (ask_qty_0 + ask_qty_1 + ask_qty_2)), 0)
            + ask_price_4 * greatest(least(ask_qty_4, ${qty} - (ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3)), 0)
            + ask_price_5 * greatest(least(ask_qty_5, ${qty} - (ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4)), 0)
            + ask_price_6 * greatest(least(ask_qty_6, ${qty} - (ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5)), 0)
            + ask_price_7 * greatest(least(ask_qty_7, ${qty} - (ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 + ask_qty_6)), 0)
            + ask_price_8 * greatest(least(ask_qty_8, ${qty} - (ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 + ask_qty_6 + ask_qty_7)), 0)
            + ask_price_9 * greatest(least(ask_qty_9, ${qty} - (ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 + ask_qty_6 + ask_qty_7 + ask_qty_8)), 0)
        ) / ${qty}
    END AS mean_price
FROM bench_book
WHERE symbol = ${symbol} AND ts >= ${start} AND ts < ${end}
