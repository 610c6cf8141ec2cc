-- What became of every line of every file
SELECT splitByChar('/', f.path)[-1] AS file, c.venue, c.kind, sum(c.lines) AS lines, sum(c.stored) AS stored,
    sum(c.duplicate) AS duplicate, sum(c.ignored) AS ignored
FROM relational.ingest_counts AS c
INNER JOIN relational.ingest_files AS f ON f.sha256 = c.sha256
GROUP BY file, c.venue, c.kind
ORDER BY file, c.venue, c.kind
