-- Whether a swap costs more where its builtins are frequent: mean loss by the name that is swapped
WITH names AS (
    SELECT DISTINCT e.example AS example, e.first AS name FROM relational.swap_examples AS e
    UNION ALL
    SELECT DISTINCT e.example AS example, e.second AS name FROM relational.swap_examples AS e
)
SELECT n.name AS name, r.model AS model, count(*) AS examples, avg(s.loss) AS loss,
    avg(CASE WHEN s.correct THEN 1.0 ELSE 0.0 END) AS accuracy
FROM relational.swap_scores AS s
INNER JOIN relational.eval_runs AS r ON r.run = s.run
INNER JOIN names AS n ON n.example = s.example
WHERE s.condition = 'swap' AND s.loss IS NOT NULL
GROUP BY name, model
ORDER BY examples DESC, name, model
LIMIT 6
