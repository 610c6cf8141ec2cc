"""Graphs that can be run: which tokens a neuron or feature fires on, after which others. Without store and Dagster."""
