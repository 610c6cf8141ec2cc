-- What became of every line of every file
SELECT regexp_replace(f.path, '.*/', '') AS file, c.venue, c.kind, CAST(sum(c.lines) AS Int64) AS lines,
    CAST(sum(c.stored) AS Int64) AS stored, CAST(sum(c.duplicate) AS Int64) AS duplicate,
    CAST(sum(c.ignored) AS Int64) AS ignored
FROM relational.ingest_counts AS c
INNER JOIN relational.ingest_files AS f ON f.sha256 = c.sha256
GROUP BY file, c.venue, c.kind
ORDER BY file, c.venue, c.kind
