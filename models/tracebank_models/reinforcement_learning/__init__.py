"""Environments with knowledge, policies and how they learn: formulas, updates, rollouts, evaluation.

How knowledge enters what is learned is not here but in `system3`.
"""
