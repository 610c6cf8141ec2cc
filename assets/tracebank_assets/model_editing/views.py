"""Views of edited facts."""

from typing import Final

from tracebank.explorer.views import Chart, Parameter, View

VIEWS: Final = (
    View(
        "scores",
        "What edits change",
        "model_editing/edits",
        """SELECT e.model AS model, e.method AS method, s.part AS moment, s.value AS value, s.low AS value_low,
    s.high AS value_high, s.unedited AS unedited, s.change AS change, s.change_low AS change_low,
    s.change_high AS change_high, s.clusters AS cases, s.items AS prompts, s.undefined AS undefined, e.run AS run
FROM relational.eval_summaries AS s
INNER JOIN relational.eval_runs AS e ON e.run = s.run
WHERE e.evaluation = 'model_editing' AND s.metric = :metric
ORDER BY e.model, s.part DESC, e.method, e.started_at""",
        Chart("bars", y="value", by=("method", "moment"), apart=("model",), y_label="mean over cases"),
        "CounterFact+ scores by editor: ES, PS and NS are shares of prompts that go right (the edit, its paraphrases,"
        " its neighbourhood), EM, PM and NM how much the new object is preferred, NKL how far the neighbourhood moved;"
        " a + is CounterFact+. The null is the same model before any edit: moment unedited, and the change to it, case"
        " by case. Intervals are 95 %, robust to clusters of prompts of one case.",
        (
            Parameter(
                "metric",
                "Score",
                "SELECT DISTINCT s.metric FROM relational.eval_summaries AS s INNER JOIN relational.eval_runs AS e"
                " ON e.run = s.run WHERE e.evaluation = 'model_editing' ORDER BY 1",
            ),
        ),
    ),
    View(
        "layers",
        "Where edits are made",
        "model_editing/layers",
        """SELECT l.model AS model, l.layer AS layer, l.loss AS loss, l.facts AS facts, l.enough AS enough,
    l.chosen AS chosen
FROM relational.edit_layers AS l
ORDER BY l.model, l.layer""",
        Chart("lines", "layer", "loss", ("model",), "layer", "loss"),
        "The loss that an edit of a layer reaches; every layer that was tried stands beside the chosen one.",
    ),
)
"""In the order in which they are listed."""
