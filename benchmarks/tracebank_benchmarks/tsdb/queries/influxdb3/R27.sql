-- Unrun against InfluxDB 3: no package of it was to be had where this was written.
SELECT symbol, venue, count(*) AS n, count(DISTINCT price) AS prices, max(price * qty) AS highest_notional
FROM bench_trades GROUP BY symbol, venue
