"""Worlds in which decisions change the people that are decided about, and in which a model learns from its decisions.

Vectorised over people, in NumPy; no store is known here. What is asked of a mitigation stands in `fairness_mitigation`.
"""
