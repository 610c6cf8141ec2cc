"""Views of fairness over time."""

from typing import Final

from tracebank.explorer.views import Chart, Parameter, View

_WORLD: Final = Parameter("world", "World", "SELECT DISTINCT world FROM relational.fairness_runs ORDER BY world")
_MEASURE: Final = Parameter(
    "measure",
    "Measure",
    "SELECT DISTINCT measure FROM relational.fairness_summaries WHERE world = :world ORDER BY measure",
)
_HOW: Final = "{0}.groups AS groups, {0}.labels AS labels, {0}.every AS every, {0}.feedback AS feedback"

VIEWS: Final = (
    View(
        "gaps",
        "Gaps over time",
        "fairness/runs",
        """SELECT c.line AS mitigation, c.x_unit AS x_unit, c.y_unit AS y_unit, c.rows AS points, c.told AS told,
    c.xs AS xs, c.ys AS ys, c.lows AS lows, c.highs AS highs
FROM relational.curves AS c
WHERE c.subject = 'fairness_periods' AND c.run = :run
ORDER BY c.position""",
        Chart("curves", by=("mitigation",)),
        "Means over seeds of the gap between groups, period by period; the null is mitigation none. Bands are 95 %"
        " intervals over seeds, and of fewer than five there are none. Runs are named world/measure/groups/labels/"
        "feedback.",
        (
            Parameter(
                "run",
                "World and measure",
                "SELECT DISTINCT run FROM relational.curves WHERE subject = 'fairness_periods' ORDER BY run",
            ),
        ),
    ),
    View(
        "changes",
        "What mitigations change",
        "fairness/summaries",
        f"""SELECT d.factor AS factor, d.mitigation AS mitigation, {_HOW.format("d")}, d.value AS change,
    d.low AS change_low, d.high AS change_high, d.p_value AS p_value, d.adjusted AS adjusted, d.seeds AS seeds,
    d.reason AS reason
FROM relational.fairness_differences AS d
WHERE d.world = :world AND d.measure = :measure AND d.statistic = 'mean'
ORDER BY d.factor DESC, d.mitigation, d.groups, d.labels, d.every, d.feedback""",
        Chart("bars", y="change", by=("mitigation", "labels", "every"), y_label="difference", apart=("factor",)),
        "The mean over periods less that of the same seed in which the factor is plain (the null: no mitigation,"
        " permuted groups, labels of the accepted, fitted again, no feedback). Intervals are 95 % over seeds; adjusted"
        " is Holm's p over all differences of the world and factor.",
        (_WORLD, _MEASURE),
    ),
    View(
        "summaries",
        "Whether gaps deepen",
        "fairness/summaries",
        f"""SELECT s.mitigation AS mitigation, {_HOW.format("s")}, s.statistic AS statistic, s.value AS value,
    s.low AS value_low, s.high AS value_high, s.seeds AS seeds, s.undefined AS undefined, s.reason AS reason
FROM relational.fairness_summaries AS s
WHERE s.world = :world AND s.measure = :measure
ORDER BY s.statistic, s.mitigation, s.groups, s.labels, s.every, s.feedback""",
        doc="first and last are means of ten periods, slope is per period, log_ratio of last to first: above 0 a gap"
        " grows. The nulls are mitigation none and, where they were run, permuted groups. Intervals are 95 %, over"
        " seeds.",
        parameters=(_WORLD, _MEASURE),
    ),
)
"""In the order in which they are listed."""
