"""Group `language_models`: base models, models tuned with a known reward, and how far layers moved."""
