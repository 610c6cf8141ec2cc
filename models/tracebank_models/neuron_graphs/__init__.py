"""Neuron to Graph (arXiv:2304.12918, 2305.19911): what a unit fires on, as a graph that predicts it, and how well."""
