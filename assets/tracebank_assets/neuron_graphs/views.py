"""Views of explanations as graphs."""

from typing import Final

from tracebank.explorer.views import Chart, Parameter, View

_DICTIONARY: Final = Parameter(
    "dictionary",
    "Dictionary or layer",
    "SELECT DISTINCT dictionary FROM relational.explanation_comparisons ORDER BY dictionary",
)
_STRATUM: Final = Parameter(
    "stratum",
    "Texts",
    "SELECT DISTINCT stratum FROM relational.explanation_comparisons ORDER BY stratum",
)
_COLUMNS: Final = """SELECT e.method AS method, e.metric AS metric, e.value AS value, e.low AS value_low,
    e.high AS value_high, e.units AS units, e.undefined AS undefined"""

VIEWS: Final = (
    View(
        "explanations",
        "How well graphs explain units, beside simpler ways",
        "neuron_graphs/scores",
        f"""{_COLUMNS}
FROM relational.explanation_comparisons AS e
WHERE e.dictionary = :dictionary AND e.stratum = :stratum AND e.less = ''
ORDER BY e.metric, e.value DESC, e.method""",
        Chart("bars", y="value", by=("method",), y_label="mean over units", apart=("metric",)),
        "On texts that nothing was made from. The nulls: graphs of other units (shuffled), the strongest tokens alone"
        " (top_tokens), the mean of a token (token_maximum), and the last five tokens (ngram_5). Intervals are 95 %,"
        " over units.",
        (_DICTIONARY, _STRATUM),
    ),
    View(
        "above",
        "By how much graphs do better",
        "neuron_graphs/scores",
        f"""{_COLUMNS}, e.less AS less
FROM relational.explanation_comparisons AS e
WHERE e.dictionary = :dictionary AND e.stratum = :stratum AND e.less <> ''
ORDER BY e.metric, e.method, e.less""",
        Chart("bars", y="value", by=("method", "less"), y_label="difference, unit by unit", apart=("metric",)),
        "The first method's score less the second's, unit by unit; the null is 0, and below it the simpler way does"
        " better. Intervals are 95 %, over units.",
        (_DICTIONARY, _STRATUM),
    ),
)
"""In the order in which they are listed."""
