"""Group `neuron_graphs`: what neurons and features fire on, as graphs that predict them (2304.12918, 2305.19911)."""
