"""Identifier swaps in Python (arXiv:2305.15507): how sure a model is of code that two swapped names made wrong."""
