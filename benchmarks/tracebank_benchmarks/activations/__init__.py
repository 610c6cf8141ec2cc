"""Rates of activations: what writing and reading them costs, beside the ways that others take."""
