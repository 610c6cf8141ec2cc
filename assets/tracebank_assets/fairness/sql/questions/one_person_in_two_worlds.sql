-- Whom a mitigation helped and whom it harmed: the same person with the same luck, with it and without
SELECT a.world AS world, a.group AS person_group, a.person AS person, a.score AS score_without, b.score AS score_with
FROM series.fairness_people AS a
INNER JOIN series.fairness_people AS b
    ON b.world = a.world AND b.seed = a.seed AND b.person = a.person AND b.period = a.period
    AND b.groups = a.groups AND b.labels = a.labels AND b.every = a.every
WHERE a.mitigation = 'none' AND b.mitigation = 'group_thresholds' AND a.seed = 0 AND a.period = 59
    AND a.every = 10 AND a.groups = 'as_they_are' AND a.labels = 'accepted' AND a.score <> b.score
    AND a.run IN (SELECT run FROM relational.fairness_runs WHERE feedback = 0)
    AND b.run IN (SELECT run FROM relational.fairness_runs WHERE feedback = 0)
ORDER BY abs(b.score - a.score) DESC, world, person
LIMIT 6
