"""System III: reinforcement learning that is safe from knowledge, which enters by how satisfied states are.

Modes of entering, the predictor of next states, runs and their comparison. Barez, Hasanbeig and Abbate 2023.
"""
