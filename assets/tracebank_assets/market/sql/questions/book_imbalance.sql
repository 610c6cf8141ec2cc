-- Does the book lean before the price moves? Mean move of the mid over the next ten books, in basis points
SELECT symbol,
    CASE WHEN imbalance > 0.5 THEN 'bids heavier' WHEN imbalance < -0.5 THEN 'asks heavier' ELSE 'balanced' END AS book_is,
    count(*) AS books, round(avg(move), 3) AS mean_move_bps
FROM (
    SELECT symbol, imbalance,
        1e4 * (lead(mid, 10, mid) OVER (PARTITION BY venue, symbol ORDER BY ts, seq) - mid) / nullif(abs(mid), 0) AS move
    FROM (
        SELECT venue, symbol, ts, seq, (bid_qty_0 - ask_qty_0) / (bid_qty_0 + ask_qty_0) AS imbalance,
            (bid_price_0 + ask_price_0) / 2 AS mid
        FROM series.book
        WHERE state = 'whole'
    ) AS books
) AS moves
GROUP BY symbol, book_is
ORDER BY symbol, mean_move_bps
