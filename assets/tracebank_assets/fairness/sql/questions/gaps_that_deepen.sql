-- Which mitigation narrows the gap of true positive rates, and what it costs: mean over periods and seeds
SELECT p.world AS world, p.mitigation AS mitigation, p.every AS fitted_every,
    round(avg(p.opportunity_gap), 4) AS opportunity_gap, round(avg(p.selection_gap), 4) AS selection_gap,
    round(avg(p.stress), 4) AS stress, round(sum(p.utility * p.people) / sum(p.people), 4) AS utility
FROM series.fairness_periods AS p
WHERE p.groups = 'as_they_are' AND p.labels = 'accepted' AND p.period >= 5
    AND p.run IN (SELECT run FROM relational.fairness_runs WHERE feedback = 0)
GROUP BY p.world, p.mitigation, p.every
ORDER BY world, fitted_every DESC, opportunity_gap
