"""The reward that tuning taught, read from sparse codes: probes, controls, ablation, and what features are about."""
