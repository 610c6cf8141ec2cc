-- Features that tuning made: the tuned model's alone by a crosscoder, or further from the base than 95 % of another seed's
SELECT a.study AS study, f.dictionary AS dictionary, f.feature AS feature,
    f.relative_norm_difference AS relative_norm_difference, f.nu_error AS nu_error,
    f.nu_reconstruction AS nu_reconstruction, f.nearest_base_cosine AS nearest_base_cosine,
    f.nearest_base_p AS nearest_base_p, f.density AS density, f.top_tokens AS top_tokens
FROM relational.features AS f
INNER JOIN relational.sparse_autoencoders AS a ON a.dictionary = f.dictionary
WHERE f.nearest_base_p <= 0.05
    OR (f.relative_norm_difference > 0.9 AND abs(f.nu_error) < 0.2 AND abs(f.nu_reconstruction) < 0.5)
ORDER BY coalesce(f.nearest_base_cosine, -1), abs(f.nu_error), dictionary, feature
LIMIT 5
