-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
WITH quotes AS (
  SELECT time, ts, symbol, venue, seq,
    price_0 AS ask_price_0, price_1 AS ask_price_1, price_2 AS ask_price_2, price_3 AS ask_price_3,
    price_4 AS ask_price_4, price_5 AS ask_price_5, price_6 AS ask_price_6, price_7 AS ask_price_7,
    price_8 AS ask_price_8, price_9 AS ask_price_9, qty_0 AS ask_qty_0, qty_1 AS ask_qty_1,
    qty_2 AS ask_qty_2, qty_3 AS ask_qty_3, qty_4 AS ask_qty_4, qty_5 AS ask_qty_5,
    qty_6 AS ask_qty_6, qty_7 AS ask_qty_7, qty_8 AS ask_qty_8, qty_9 AS ask_qty_9
  FROM bench_book WHERE side = 'ask'
), rows AS (
  SELECT seq,
    ask_price_0, ask_price_1, ask_price_2, ask_price_3, ask_price_4,
    ask_price_5, ask_price_6, ask_price_7, ask_price_8, ask_price_9,
    ask_qty_0, ask_qty_1, ask_qty_2, ask_qty_3, ask_qty_4,
    ask_qty_5, ask_qty_6, ask_qty_7, ask_qty_8, ask_qty_9
  FROM quotes WHERE symbol = ${symbol} AND time >= ${start} AND time < ${end}
), depths AS (
  SELECT *,
    ask_qty_0 AS held_0,
    ask_qty_0 + ask_qty_1 AS held_1,
    ask_qty_0 + ask_qty_1 + ask_qty_2 AS held_2,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 AS held_3,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 AS held_4,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 AS held_5,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 + ask_qty_6 AS held_6,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 + ask_qty_6 + ask_qty_7 AS held_7,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 + ask_qty_6 + ask_qty_7 + ask_qty_8 AS held_8,
    ask_qty_0 + ask_qty_1 + ask_qty_2 + ask_qty_3 + ask_qty_4 + ask_qty_5 + ask_qty_6 + ask_qty_7 + ask_qty_8 + ask_qty_9 AS held_9
  FROM rows
)
SELECT seq, CASE WHEN held_9 >= ${qty} THEN (
    least(ask_qty_0, ${qty}) * ask_price_0
    + greatest(least(ask_qty_1, ${qty} - held_0), 0) * ask_price_1
    + greatest(least(ask_qty_2, ${qty} - held_1), 0) * ask_price_2
    + greatest(least(ask_qty_3, ${qty} - held_2), 0) * ask_price_3
    + greatest(least(ask_qty_4, ${qty} - held_3), 0) * ask_price_4
    + greatest(least(ask_qty_5, ${qty} - held_4), 0) * ask_price_5
    + greatest(least(ask_qty_6, ${qty} - held_5), 0) * ask_price_6
    + greatest(least(ask_qty_7, ${qty} - held_6), 0) * ask_price_7
    + greatest(least(ask_qty_8, ${qty} - held_7), 0) * ask_price_8
    + greatest(least(ask_qty_9, ${qty} - held_8), 0) * ask_price_9
  ) / ${qty} END AS mean_price
FROM depths
