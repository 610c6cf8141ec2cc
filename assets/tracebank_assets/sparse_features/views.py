"""Views of reward studies: what probes find in a tuned model, and what ablating it does."""

from typing import Final

from tracebank.explorer.views import Chart, Parameter, View

_STUDY: Final = Parameter("study", "Study", "SELECT DISTINCT study FROM relational.probes ORDER BY study")

VIEWS: Final = (
    View(
        "probes",
        "What probes read of the reward",
        "sparse_features/probes",
        """SELECT p.model AS model, p.representation AS representation, p.kind AS kind, m.metric AS metric,
    m.value AS value, m.low AS value_low, m.high AS value_high, m.p_value AS p_value, m.count AS words,
    p.seed AS seed
FROM relational.probes AS p
INNER JOIN relational.probe_metrics AS m ON m.probe = p.probe
WHERE p.study = :study AND p.task = :task AND p.number = 0 AND m.metric IN ('kendall_tau', 'kendall_tau_within')
ORDER BY m.metric, p.seed, p.model, p.representation, p.kind""",
        Chart("bars", y="value", by=("model", "representation", "kind"), y_label="Kendall's tau", apart=("metric",)),
        "How well a probe orders words that it has not seen by their valence. The nulls: probes of shuffled valences,"
        " random directions, and the sign alone; their interval is over such probes, all others' over words.",
        (
            _STUDY,
            Parameter(
                "task", "Task", "SELECT DISTINCT task FROM relational.probes WHERE study = :study ORDER BY task DESC"
            ),
        ),
    ),
    View(
        "differences",
        "What a tuned model knows more than its base",
        "sparse_features/probes",
        """SELECT p.model AS model, b.model AS less, p.representation AS representation, d.metric AS metric,
    d.value AS difference, d.low AS difference_low, d.high AS difference_high, d.p_value AS p_value, d.count AS words
FROM relational.probe_differences AS d
INNER JOIN relational.probes AS p ON p.probe = d.probe
INNER JOIN relational.probes AS b ON b.probe = d.less
ORDER BY d.metric, p.model, p.representation""",
        Chart("bars", y="difference", by=("model", "representation"), y_label="difference of tau", apart=("metric",)),
        "A probe's figure in the tuned model less the same in its base, over the same words; the null is 0. Intervals"
        " are 95 %, over words.",
    ),
    View(
        "ablations",
        "What the probe's features do when they are held at zero",
        "sparse_features/ablations",
        """SELECT a.study AS study, a.seed AS seed, a.condition AS part, count(*) AS draws, min(a.features) AS features,
    avg(a.effect) AS effect, max(a.effect_low) AS effect_low, max(a.effect_high) AS effect_high,
    min(a.effect) AS least, max(a.effect) AS largest, max(a.rank_p) AS rank_p, max(a.two_sided_p) AS two_sided_p,
    max(a.texts) AS texts
FROM relational.ablations AS a
GROUP BY a.study, a.seed, a.condition
ORDER BY a.study, a.seed, a.condition""",
        Chart("bars", y="effect", by=("part",), y_label="change of the expected valence", apart=("study", "seed")),
        "Change of the valence that the model expects of its next token. The null is as many random features, drawn"
        " often: least and largest are over draws, and rank_p says how many of them do as much. The interval of the"
        " chosen features is 95 %, over texts.",
    ),
    View(
        "dictionaries",
        "How well dictionaries reconstruct",
        "sparse_features/dictionaries",
        """SELECT d.dictionary AS dictionary, s.architecture AS architecture, s.d_sae AS features,
    max(CASE WHEN d.metric = 'l0' THEN d.value END) AS l0, max(CASE WHEN d.metric = 'fvu' THEN d.value END) AS fvu,
    max(CASE WHEN d.metric = 'dead_share' THEN d.value END) AS dead_share,
    max(CASE WHEN d.metric = 'ce_recovered' THEN d.value END) AS ce_recovered, max(d.tokens) AS tokens
FROM relational.dictionary_metrics AS d
INNER JOIN relational.sparse_autoencoders AS s ON s.dictionary = d.dictionary AND s.init_seed = d.init_seed
GROUP BY d.dictionary, s.architecture, s.d_sae
ORDER BY d.dictionary""",
        Chart("points", "l0", "fvu", ("architecture",), "features that fire on a token", "variance unexplained"),
        "On held-out activations. ce_recovered is the share of the loss between the model with its activations at zero"
        " (0, the null) and untouched (1).",
    ),
    View(
        "similarities",
        "How alike dictionaries are",
        "sparse_features/dictionaries",
        """SELECT s.comparison AS comparison, s.dictionary AS dictionary, s.other AS other, s.features AS features,
    s.mmcs AS mean_cosine, s.chance AS chance, s.difference AS above_chance
FROM relational.dictionary_similarities AS s
ORDER BY s.comparison, s.dictionary, s.other""",
        doc="Mean cosine of features matched one to one, beside what as many random directions reach.",
    ),
)
"""In the order in which they are listed."""
