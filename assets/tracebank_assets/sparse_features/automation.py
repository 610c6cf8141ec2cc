"""What runs a reward study without anyone at the keys: jobs, by study and by study and shard."""

import dagster as dg

from tracebank_assets.sparse_features.keys import (
    ABLATIONS,
    ACTIVATIONS,
    DICTIONARIES,
    DYNAMICS,
    EXPLANATIONS,
    FEATURES,
    PROBES,
)

CAPTURE_JOB = dg.define_asset_job(
    "capture_activations", selection=[ACTIVATIONS], description="Activations of a study's models on one shard."
)
DICTIONARIES_JOB = dg.define_asset_job(
    "train_dictionaries", selection=[DICTIONARIES], description="Train the sparse autoencoders of a study."
)
READ_JOB = dg.define_asset_job(
    "read_reward",
    selection=[FEATURES, EXPLANATIONS, PROBES, ABLATIONS, DYNAMICS],
    description="Features, explanations, probes, ablations and dynamics of a study.",
)

JOBS = [CAPTURE_JOB, DICTIONARIES_JOB, READ_JOB]
"""Jobs of the group."""
