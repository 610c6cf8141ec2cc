SELECT symbol, venue, count() AS n, uniqExact(price) AS prices, max(price * qty) AS highest_notional
FROM bench_trades
GROUP BY symbol, venue
