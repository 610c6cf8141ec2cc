"""Features of dictionaries, and units like them: streams, statistics, tokens, examples, codes and explanations."""
