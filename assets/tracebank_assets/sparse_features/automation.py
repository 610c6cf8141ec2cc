"""What runs reward studies: one job for all of a study's assets, and the sensor that makes what is out of date."""

import warnings

import dagster as dg

from tracebank_assets.language_models.keys import FRONTIER, NAMED
from tracebank_assets.language_models.keys import GROUP as MODELS
from tracebank_assets.sparse_features.keys import GROUP

STUDY_ASSETS = dg.AssetSelection.groups(MODELS, GROUP) - dg.AssetSelection.assets(FRONTIER, NAMED)
"""Nothing waits for the frontier, which trains three models more: it is made when it is asked for. Named models are not
of a study."""

STUDY_JOB = dg.define_asset_job(
    "reward_study", selection=STUDY_ASSETS, description="Everything of a study and seed, from the base model on."
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)  # that conditions may be code of ours
    STUDY_SENSOR = dg.AutomationConditionSensorDefinition(
        "reward_studies",
        target=STUDY_ASSETS,
        minimum_interval_seconds=60,
        use_user_code_server=True,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Makes what is out of date of the studies that are partitions. Off until it is switched on, in dev"
        " too: a study of a large model takes hours.",
    )

JOBS = [STUDY_JOB]
"""Jobs of the group."""
