-- Units that fire on `import`, those that do so after `from` first, in which models, and how well their graphs say when
SELECT a.model AS model, n.dictionary AS dictionary, n.feature AS feature,
    max(CASE WHEN c.token = 'from' THEN 1 ELSE 0 END) AS after_from, max(s.value) AS f1, max(e.text) AS graph
FROM relational.graph_nodes AS n
INNER JOIN relational.sparse_autoencoders AS a ON a.dictionary = n.dictionary
INNER JOIN relational.feature_explanations AS e
    ON e.dictionary = n.dictionary AND e.feature = n.feature AND e.method = 'neuron_graph'
INNER JOIN relational.feature_scores AS s
    ON s.explanation = e.explanation AND s.metric = 'f1' AND s.stratum = 'all'
LEFT JOIN relational.graph_nodes AS c
    ON c.dictionary = n.dictionary AND c.feature = n.feature AND c.trie = n.trie AND c.fires_on = n.token
        AND c.depth > 1 AND c.kind IN ('token', 'gap')
WHERE n.trie = 'draw' AND n.depth = 1 AND n.token = 'import'
GROUP BY model, dictionary, feature
ORDER BY after_from DESC, f1 DESC, dictionary, feature
LIMIT 5
