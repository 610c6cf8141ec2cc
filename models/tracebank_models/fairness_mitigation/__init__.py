"""What is done against unfair decisions, and how unfair decisions are measured: NumPy in, NumPy out; no store is known.

Mitigations change labels or weights before a model is fitted, the fit, its decisions, or the system around them.
"""
