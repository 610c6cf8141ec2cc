"""Group `model_editing`: facts that are edited into language models, and what else moved (2305.17553)."""
