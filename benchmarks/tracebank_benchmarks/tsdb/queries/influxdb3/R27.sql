-- Unrun against InfluxDB 3, of which no package was to be had; run in tests on DataFusion, the engine inside it.
SELECT symbol, venue, count(*) AS n, count(DISTINCT price) AS prices, max(price * qty) AS highest_notional
FROM bench_trades GROUP BY symbol, venue
