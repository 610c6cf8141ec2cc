"""How fast worlds of fairness run on one core: `python -m tracebank_benchmarks.fairness_worlds.rate`."""
