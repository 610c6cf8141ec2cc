-- Does the book lean before the price moves? Mean move of the mid over the next ten books, in basis points
SELECT symbol, multiIf(imbalance > 0.5, 'bids heavier', imbalance < -0.5, 'asks heavier', 'balanced') AS book_is,
    count() AS books, round(avg(move), 3) AS mean_move_bps
FROM (
    SELECT symbol, (bid_qty_0 - ask_qty_0) / (bid_qty_0 + ask_qty_0) AS imbalance,
        (bid_price_0 + ask_price_0) / 2 AS mid,
        1e4 * (leadInFrame(mid, 10, mid) OVER later - mid) / mid AS move
    FROM series.book
    WHERE state = 'whole'
    WINDOW later AS (PARTITION BY venue, symbol ORDER BY ts, seq ROWS BETWEEN CURRENT ROW AND 10 FOLLOWING)
)
GROUP BY symbol, book_is
ORDER BY symbol, mean_move_bps
