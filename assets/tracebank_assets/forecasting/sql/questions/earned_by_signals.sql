-- What did trading on forecasts earn, by how many had to agree, and which share of random sides earned as much?
SELECT m.name AS model, b.kind AS kind, b.signals AS signals, sum(b.trades) AS trades, round(sum(b.pnl_net), 2) AS earned,
    round(1e4 * sum(b.pnl_gross) / nullif(sum(b.turnover), 0), 4) AS break_even_bps, round(avg(b.rank_p), 3) AS rank_p
FROM relational.backtests AS b
INNER JOIN relational.forecast_models AS m ON m.model = b.model
WHERE b.kind <> 'nothing'
GROUP BY model, kind, signals
ORDER BY model, signals, kind DESC
