"""kdb+ in the suite: the adapter of its store, and the questions in q."""
