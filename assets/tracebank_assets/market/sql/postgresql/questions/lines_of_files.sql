-- What became of every line of every file
SELECT split_part(f.path, '/', -1) AS file, c.venue, c.kind, sum(c.lines)::bigint AS lines, sum(c.stored)::bigint AS stored,
    sum(c.duplicate)::bigint AS duplicate, sum(c.ignored)::bigint AS ignored
FROM relational.ingest_counts AS c
INNER JOIN relational.ingest_files AS f ON f.sha256 = c.sha256
GROUP BY split_part(f.path, '/', -1), c.venue, c.kind
ORDER BY file, c.venue, c.kind
