SELECT moments.symbol, moments.moment, trade.price, quote.bid_price_0 AS bid, quote.ask_price_0 AS ask
FROM (VALUES ${moments}) AS moments (symbol, moment, at)
LEFT JOIN LATERAL (
    SELECT price
    FROM bench_trades
    WHERE bench_trades.symbol = moments.symbol AND bench_trades.ts <= moments.at AND bench_trades.ts_ns <= moments.moment
    ORDER BY bench_trades.ts DESC, bench_trades.seq DESC
    LIMIT 1
) AS trade ON true
LEFT JOIN LATERAL (
    SELECT bid_price_0, ask_price_0
    FROM bench_book
    WHERE bench_book.symbol = moments.symbol AND bench_book.ts <= moments.at AND bench_book.ts_ns <= moments.moment
    ORDER BY bench_book.ts DESC, bench_book.seq DESC
    LIMIT 1
) AS quote ON true
WHERE moments.symbol IS NOT NULL
