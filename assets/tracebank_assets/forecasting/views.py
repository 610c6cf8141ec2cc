"""Views of forecasts, and of what trading on them would have earned."""

from typing import Final

from tracebank.explorer.views import Chart, Parameter, View

_CURVES: Final = """SELECT c.line AS line, c.x_unit AS x_unit, c.y_unit AS y_unit, c.rows AS points, c.told AS told,
    c.xs AS xs, c.ys AS ys, c.lows AS lows, c.highs AS highs
FROM relational.curves AS c"""

VIEWS: Final = (
    View(
        "scores",
        "How good forecasts are",
        "forecasting/forecasts",
        """SELECT m.name AS model, m.seed AS seed, m.symbol AS symbol, s.day AS day, s.price AS price,
    s.horizon AS horizon, s.value AS value, s.low AS value_low, s.high AS value_high, s.baseline AS baseline,
    s.baseline_value AS baseline_value, s.control AS control, s.over_control AS over_control,
    s.over_control_low AS over_control_low, s.over_control_high AS over_control_high, s.samples AS samples,
    s.blocks AS blocks
FROM relational.forecast_scores AS s
INNER JOIN relational.forecast_models AS m ON m.model = s.model
WHERE s.metric = :metric AND m.symbol = :symbol
ORDER BY s.price, s.day, m.name, m.seed, s.model, s.horizon""",
        Chart("lines", "horizon", "value", ("model", "seed"), "ticks ahead", "score", apart=("price", "day")),
        "Scores of one day by horizon. The nulls: baseline, which knows nothing, and control, a linear model that sees"
        " how the last row of the book leans. Intervals are 95 %, by moving blocks; there is none below five blocks.",
        (
            Parameter("metric", "Score", "SELECT DISTINCT metric FROM relational.forecast_scores ORDER BY metric"),
            Parameter("symbol", "Symbol", "SELECT DISTINCT symbol FROM relational.forecast_models ORDER BY symbol"),
        ),
    ),
    View(
        "earnings",
        "What trading on forecasts would have earned",
        "forecasting/backtests",
        """SELECT m.name AS model, m.seed AS seed, b.symbol AS symbol, b.day AS day, b.rule AS rule_name,
    b.signals AS signals, b.kind AS kind, b.pnl_net AS net, b.pnl_gross AS gross, b.fees AS fees,
    b.trades AS trades, b.bps_net AS bps_net,
    b.sharpe_trade AS sharpe, b.sharpe_trade_low AS sharpe_low, b.sharpe_trade_high AS sharpe_high,
    b.rank_p AS rank_p, b.random_runs AS random_runs, b.max_drawdown AS drawdown
FROM relational.backtests AS b
INNER JOIN relational.forecast_models AS m ON m.model = b.model
ORDER BY b.symbol, b.day, m.name, m.seed, b.model, b.signals, b.strategy, b.kind DESC""",
        Chart(
            "bars",
            y="net",
            by=("model", "seed", "signals", "kind"),
            y_label="net, quote currency",
            apart=("symbol", "day"),
        ),
        "Each strategy beside its nulls: doing nothing, holding, and as many trades by chance (the mean of its runs)."
        " rank_p is the share of these that earn as much. The interval of the trades' Sharpe ratio is 95 %, by blocks;"
        " one day of one book tells nothing of another.",
    ),
    View(
        "equity",
        "Equity of a strategy",
        "forecasting/backtests",
        f"{_CURVES}\nWHERE c.subject = 'backtest_equity' AND c.run = :run\nORDER BY c.position",
        Chart("curves", by=("line",), y_label="earned"),
        "What the strategy and holding had earned, open position at its price. Doing nothing is 0; strategies by chance"
        " stand in the table of earnings, since only their totals are kept.",
        (
            Parameter(
                "run",
                "Strategy",
                "SELECT DISTINCT b.strategy, m.name || ' ' || m.seed || ', ' || b.symbol || ', ' ||"
                " b.signals || ' signals, ' || b.rule FROM relational.backtests AS b"
                " INNER JOIN relational.forecast_models AS m ON m.model = b.model"
                " INNER JOIN relational.curves AS c ON c.run = b.strategy AND c.subject = 'backtest_equity'"
                " ORDER BY 2, 1",
            ),
        ),
    ),
    View(
        "forecasts",
        "Forecasts beside the returns that came",
        "forecasting/forecasts",
        f"{_CURVES}\nWHERE c.subject = 'forecasts' AND c.run = :run\nORDER BY c.position",
        Chart("curves", by=("line",)),
        "Some ticks of a day, in basis points. The null is a forecast of 0. Pictures of forecasts persuade; how good"
        " they are stands in the scores.",
        (
            Parameter(
                "run",
                "Model",
                "SELECT DISTINCT c.run, m.name || ' ' || m.seed || ', ' || m.symbol"
                " FROM relational.curves AS c INNER JOIN relational.forecast_models AS m"
                " ON c.run LIKE m.model || '/%' WHERE c.subject = 'forecasts' ORDER BY 2, 1",
            ),
        ),
    ),
)
"""In the order in which they are listed."""
