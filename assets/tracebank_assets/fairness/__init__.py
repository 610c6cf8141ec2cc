"""Group `fairness`: worlds in which decisions change people, run under mitigations, and what seeds agree on."""
