"""What runs language models without anyone at the keys: jobs, by model and by study."""

import dagster as dg

from tracebank_assets.language_models.keys import BASE, DIVERGENCES, TUNED

BASE_JOB = dg.define_asset_job(
    "train_base_model", selection=[BASE], description="Train, or load, the base model of a partition."
)
TUNE_JOB = dg.define_asset_job(
    "tune_model", selection=[TUNED, DIVERGENCES], description="Tune a base with a known reward, and compare layers."
)

JOBS = [BASE_JOB, TUNE_JOB]
"""Jobs of the group."""
