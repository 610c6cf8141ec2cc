-- Trades by venue and symbol, with what the catalogue knows of their units (both stores in one query)
SELECT t.venue, t.symbol, count(*) AS trades, round(sum(t.qty), 3) AS volume, i.qty_unit, i.price_tick
FROM series.trades AS t
INNER JOIN relational.instruments AS i ON i.venue = t.venue AND i.symbol = t.symbol
GROUP BY t.venue, t.symbol, i.qty_unit, i.price_tick
ORDER BY t.venue, t.symbol
