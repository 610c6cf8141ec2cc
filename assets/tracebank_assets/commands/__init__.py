"""Commands that materialise: `tracebank ingest`, `tracebank demo` and `tracebank dev`."""
