-- Units that fire on `import` after `from`, in which models, and how well their graphs say when, on other texts
SELECT DISTINCT a.model AS model, n.dictionary AS dictionary, n.feature AS feature, s.value AS f1, e.text AS graph
FROM relational.graph_nodes AS n
INNER JOIN relational.sparse_autoencoders AS a ON a.dictionary = n.dictionary
INNER JOIN relational.feature_explanations AS e
    ON e.dictionary = n.dictionary AND e.feature = n.feature AND e.method = 'neuron_graph'
INNER JOIN relational.feature_scores AS s
    ON s.explanation = e.explanation AND s.metric = 'f1' AND s.stratum = 'all'
WHERE n.trie = 'draw' AND n.fires_on = 'import' AND n.token = 'from' AND n.depth > 1 AND n.kind <> 'negative'
ORDER BY f1 DESC, dictionary, feature
LIMIT 5
