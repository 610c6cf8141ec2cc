"""Views of swapped identifiers."""

from typing import Final

from tracebank.explorer.views import Chart, View

VIEWS: Final = (
    View(
        "losses",
        "Loss by the size of the model",
        "identifier_swaps/scores",
        """SELECT e.model AS model, m.parameters AS parameters, s.part AS part, s.value AS loss, s.low AS loss_low,
    s.high AS loss_high, c.value AS correct, c.low AS correct_low, c.high AS correct_high, s.clusters AS functions,
    s.items AS examples, s.undefined AS undefined
FROM relational.eval_summaries AS s
INNER JOIN relational.eval_runs AS e ON e.run = s.run
LEFT JOIN relational.eval_summaries AS c ON c.run = s.run AND c.part = s.part AND c.metric = 'correct'
LEFT JOIN relational.language_models AS m ON m.model = e.model
WHERE e.evaluation = 'identifier_swaps' AND s.metric = 'loss'
ORDER BY m.parameters, e.model, s.part""",
        Chart("points", "parameters", "loss", ("part",), "parameters", "loss", log_x=True),
        "Two builtins are exchanged, and the code that is right after that is less likely than the one that is wrong."
        " The null is no_swap: the same functions without the exchange; a guess is correct half of the time. Intervals"
        " are 95 %, robust to clusters of examples of one function.",
    ),
    View(
        "trends",
        "Whether larger models do better",
        "identifier_swaps/trends",
        """SELECT t.ladder AS ladder, t.functions_of AS functions_of, t.condition AS part, t.statistic AS statistic,
    t.value AS correlation, t.low AS correlation_low, t.high AS correlation_high, t.p_value AS p_value,
    t.models AS models, t.functions AS functions, t.reason AS reason
FROM relational.swap_trends AS t
ORDER BY t.ladder, t.statistic, t.functions_of, t.condition""",
        Chart("bars", y="correlation", by=("statistic", "functions_of", "part"), y_label="correlation"),
        "Correlation of the logarithms of size and mean loss, over models that read the same text; below 0, larger"
        " models lose less. The null is no_swap. Of fewer than five models there is none, and a reason.",
    ),
)
"""In the order in which they are listed."""
