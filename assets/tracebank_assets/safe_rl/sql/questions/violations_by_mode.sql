-- Which rule was broken how often while policies learned, by what they knew
SELECT r.environment AS environment, r.mode AS mode, c.text AS rule, count(*) AS runs,
    round(avg(1000.0 * c.training_violations / r.steps), 3) AS broken_per_1000, round(avg(r.episode_return), 1) AS return_after
FROM relational.constraints AS c
INNER JOIN relational.rl_runs AS r ON r.run = c.run
WHERE r.steps IS NOT NULL
GROUP BY environment, mode, rule
ORDER BY environment, rule, broken_per_1000
