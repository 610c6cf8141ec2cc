"""Views of policies that know what is safe."""

from typing import Final

from tracebank.explorer.views import Chart, Parameter, View

_ENVIRONMENT: Final = Parameter(
    "environment",
    "Environment",
    "SELECT DISTINCT environment FROM relational.rl_comparisons WHERE environment <> 'all' ORDER BY environment",
)
_CURVES: Final = """SELECT c.line AS line, c.x_unit AS x_unit, c.y_unit AS y_unit, c.rows AS points, c.told AS told,
    c.xs AS xs, c.ys AS ys, c.lows AS lows, c.highs AS highs
FROM relational.curves AS c"""
_RUN: Final = """SELECT DISTINCT c.run, r.environment || ', ' || r.mode || ', seed ' || r.seed
FROM relational.curves AS c INNER JOIN relational.rl_runs AS r ON r.run = c.run
WHERE c.subject = '{subject}' ORDER BY 2, 1"""

VIEWS: Final = (
    View(
        "frontier",
        "Return against broken rules",
        "safe_rl/comparisons",
        """SELECT r.environment AS environment, r.knowledge AS knowledge, r.mode AS mode,
    v.iqm AS violations, v.low AS violations_low, v.high AS violations_high,
    r.iqm AS mean_return, r.low AS mean_return_low, r.high AS mean_return_high, r.seeds AS seeds
FROM relational.rl_comparisons AS r
LEFT JOIN relational.rl_comparisons AS v ON v.environment = r.environment AND v.knowledge = r.knowledge
    AND v.mode = r.mode AND v.metric = 'violations_per_1000'
WHERE r.metric = 'episode_return' AND r.environment <> 'all'
ORDER BY r.environment, r.knowledge, r.mode""",
        Chart(
            "points",
            "violations",
            "mean_return",
            ("mode",),
            "steps of training that broke a rule, of 1,000",
            "return afterwards",
            apart=("environment", "knowledge"),
        ),
        "Interquartile means over seeds: up is better, left is safer. The null is mode reward, which knows no rule;"
        " random and do_nothing learn nothing. Intervals are 95 %, over seeds; of fewer than five there is none.",
    ),
    View(
        "comparisons",
        "Modes beside the reward alone",
        "safe_rl/comparisons",
        """SELECT r.metric AS metric, r.mode AS mode, r.knowledge AS knowledge, r.iqm AS value, r.low AS value_low,
    r.high AS value_high, r.below AS below, r.below_low AS below_low, r.below_high AS below_high, r.seeds AS seeds
FROM relational.rl_comparisons AS r
WHERE r.environment = :environment
ORDER BY r.metric, r.knowledge, r.mode""",
        Chart("bars", y="value", by=("mode",), y_label="interquartile mean", apart=("metric",)),
        "below is the chance that a run is lower than one of mode reward, the null; one half tells nothing. Intervals"
        " are 95 %, over seeds.",
        (_ENVIRONMENT,),
    ),
    View(
        "rules",
        "Which rule was broken",
        "safe_rl/runs",
        """SELECT r.environment AS environment, c.text AS rule_text, r.mode AS mode, count(*) AS runs,
    avg(1000.0 * c.training_violations / r.steps) AS broken_per_1000,
    min(1000.0 * c.training_violations / r.steps) AS least, max(1000.0 * c.training_violations / r.steps) AS most,
    avg(r.episode_return) AS return_afterwards, avg(r.violated_episodes) AS broken_afterwards
FROM relational.constraints AS c
INNER JOIN relational.rl_runs AS r ON r.run = c.run
WHERE r.steps IS NOT NULL
GROUP BY r.environment, c.text, r.mode
ORDER BY r.environment, c.text, r.mode""",
        Chart("bars", y="broken_per_1000", by=("mode",), y_label="of 1,000 steps", apart=("environment", "rule_text")),
        "How often each rule was broken while policies learned, mean, least and most of their runs; the null is mode"
        " reward. broken_afterwards is the share of episodes of evaluation in which any was.",
    ),
    View(
        "rollout",
        "A rollout, played back",
        "safe_rl/runs",
        f"{_CURVES}\nWHERE c.subject = 'rollout_steps' AND c.run = :run\nORDER BY c.position",
        Chart("rollout", by=("line",), apart=("line",)),
        "The last whole episode that is stored of a policy, as it saw it, and how far each rule was satisfied: 0 is as"
        " broken as it gets. Of a run whose training was stored it is the last of the training.",
        (Parameter("run", "Policy", _RUN.format(subject="rollout_steps")),),
    ),
    View(
        "trainings",
        "How a policy learned",
        "safe_rl/runs",
        f"{_CURVES}\nWHERE c.subject = 'training_curves' AND c.run = :run\nORDER BY c.position",
        Chart("curves", by=("line",), apart=("line",)),
        "What every update showed.",
        (Parameter("run", "Policy", _RUN.format(subject="training_curves")),),
    ),
)
"""In the order in which they are listed."""
