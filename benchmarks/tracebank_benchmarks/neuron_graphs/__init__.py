"""Benchmarks of neuron graphs: how fast they are made and compared."""
