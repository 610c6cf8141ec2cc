-- Whether edits that move what is said of others more (NKL+) lose more of it (NS+), by model and editor
WITH wide AS (
    SELECT s.run AS run, s.item AS item,
        max(CASE WHEN s.metric = 'after_edit/NKL+' THEN s.value END) AS divergence,
        max(CASE WHEN s.metric = 'unedited/NS+' THEN s.value END)
            - max(CASE WHEN s.metric = 'after_edit/NS+' THEN s.value END) AS dropped
    FROM relational.eval_samples AS s
    WHERE s.metric IN ('after_edit/NKL+', 'unedited/NS+', 'after_edit/NS+')
    GROUP BY run, item
)
SELECT r.model AS model, r.method AS editor, count(*) AS edits, avg(w.dropped) AS ns_plus_drop,
    avg(w.divergence) AS nkl_plus, corr(w.divergence, w.dropped) AS correlation
FROM wide AS w
INNER JOIN relational.eval_runs AS r ON r.run = w.run
WHERE w.dropped IS NOT NULL AND w.divergence IS NOT NULL
GROUP BY model, editor
ORDER BY nkl_plus DESC, model, editor
