SELECT symbol, venue, count(*) AS n, count(DISTINCT price) AS prices, max(price * qty) AS highest_notional
FROM bench_trades
GROUP BY symbol, venue
