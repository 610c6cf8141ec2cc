-- Latents of tuned models with a probe weight in the top 1 %, those least like their partner in the base dictionary first
WITH largest AS (
    SELECT w.probe AS probe, quantileExactInclusive(0.99)(abs(w.weight)) AS bound
    FROM relational.probe_weights AS w
    GROUP BY w.probe
)
SELECT p.study AS study, f.dictionary AS dictionary, f.feature AS feature, p.probe AS probe, w.weight AS weight,
    w.rank AS rank, f.matched_cosine AS matched_cosine, f.density AS density, f.top_tokens AS top_tokens
FROM relational.probe_weights AS w
INNER JOIN largest AS l ON l.probe = w.probe
INNER JOIN relational.probes AS p ON p.probe = w.probe
INNER JOIN relational.sparse_autoencoders AS a ON a.dictionary = w.dictionary
INNER JOIN relational.features AS f ON f.dictionary = w.dictionary AND f.feature = w.feature
WHERE abs(w.weight) >= l.bound AND p.task = 'reward' AND p.kind = 'ridge' AND p.representation = 'sparse_codes'
    AND a.side = 'tuned' AND p.model = a.model
    AND f.matched_dictionary IS NOT NULL
ORDER BY matched_cosine, study, probe, rank, dictionary, feature
LIMIT 10
