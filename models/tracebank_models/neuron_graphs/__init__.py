"""Neuron to Graph: units of a language model as executable graphs of the tokens that they fire on, and why."""
