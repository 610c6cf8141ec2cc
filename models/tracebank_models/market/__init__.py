"""Market data: readers of recorded files, the order book rebuilt from differences, and a synthetic exchange."""
