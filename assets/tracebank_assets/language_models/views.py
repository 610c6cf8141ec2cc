"""Views of language models: how they were trained and tuned."""

from typing import Final

from tracebank.explorer.views import Chart, Parameter, View

VIEWS: Final = (
    View(
        "tuning",
        "What tuning gains, and how far it goes",
        "language_models/tuned",
        """SELECT p.study AS study, p.model AS model, p.method AS method, p.beta AS beta, p.step AS step,
    p.split AS split, p.gain AS gain, p.gain_low AS gain_low, p.gain_high AS gain_high, p.base_reward AS base_reward,
    p.reward AS reward, p.kl AS kl, p.openings AS openings, p.chosen AS chosen
FROM relational.policy_evaluations AS p
ORDER BY p.study, p.model, p.split, p.beta, p.step""",
        Chart("points", "kl", "gain", ("model", "split"), "KL to the untuned model, nats", "gain of reward"),
        "Reward above that of the untuned model (the null: a gain of 0) on the same prompts, against the distance from"
        " it. Intervals are 95 %, over openings.",
    ),
    View(
        "trainings",
        "How a training went",
        "language_models/base",
        """SELECT c.line AS metric, c.x_unit AS x_unit, c.y_unit AS y_unit, c.rows AS points, c.told AS told,
    c.xs AS xs, c.ys AS ys, c.lows AS lows, c.highs AS highs
FROM relational.curves AS c
WHERE c.subject = 'training_curves' AND c.run = :run
ORDER BY c.position""",
        Chart("curves", by=("metric",), apart=("metric",)),
        "Every metric over the steps of one training: of models, their tuning, dictionaries, forecasters and policies.",
        (
            Parameter(
                "run",
                "Training",
                "SELECT DISTINCT run FROM relational.curves WHERE subject = 'training_curves' ORDER BY run",
            ),
        ),
    ),
    View(
        "models",
        "Models that are known",
        "language_models/named",
        """SELECT m.model AS model, m.parent AS parent, m.method AS method, m.layers AS layers,
    m.hidden_size AS hidden_size, m.parameters AS parameters, m.context_length AS context_length, m.source AS source
FROM relational.language_models AS m
ORDER BY m.model""",
        doc="As they were catalogued.",
    ),
)
"""In the order in which they are listed."""
