"""Reward studies as partitions: models, studies, and studies by corpus shard; and the device that computes them."""

from functools import cache, partial

import dagster as dg

from tracebank.settings import Settings, SettingsError
from tracebank_assets.artifacts import artifact
from tracebank_models.reward_probe.study import CORPUS_SHARDS, ModelSource, Study, ladder_studies
from tracebank_models.reward_probe.study_file import read_studies


@cache
def studies() -> dict[str, Study]:
    """The ladder's studies and those of the file that `TRACEBANK_STUDIES` names.

    Raises:
        SettingsError: the file is not right.
    """
    path = Settings.load().studies
    try:
        return ladder_studies() | (read_studies(path) if path else {})
    except ValueError as error:
        raise SettingsError(f"TRACEBANK_STUDIES: {error}") from None


def base_models() -> dict[str, ModelSource]:
    """Base model of every study, by name."""
    return {study.base.name: study.base for study in studies().values()}


def _studies_by_model() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for study in studies().values():
        found.setdefault(study.base.name, set()).add(study.name)
    return found


MODELS = dg.StaticPartitionsDefinition(list(base_models()))
"""One partition for each base model."""

STUDIES = dg.StaticPartitionsDefinition(list(studies()))
"""One partition for each study, which is a tuned model and its base."""

STUDY_BY_SHARD = dg.MultiPartitionsDefinition(
    {"study": STUDIES, "shard": dg.StaticPartitionsDefinition([str(shard) for shard in range(CORPUS_SHARDS)])}
)
"""One partition for each study and part of its documents; the last part is held out."""

BASE_OF_STUDY = dg.StaticPartitionMapping(_studies_by_model())
"""The base model behind a study."""

GPU_POOL = "gpu"


def _gpu_tags() -> dict[str, object]:
    if Settings.load().device in ("cpu", "mps"):
        return {}
    limits = {"container_config": {"resources": {"limits": {"nvidia.com/gpu": "1"}}}}
    return {"dagster-k8s/config": limits, "dagster-ray/config": {"num_gpus": 1}}


GPU_TAGS = _gpu_tags()
"""Ask Kubernetes and Ray for a GPU, unless `TRACEBANK_DEVICE` says that none is wanted; other executors ignore them."""


study_artifact = partial(artifact, partitions_def=STUDIES, pool=GPU_POOL, op_tags=GPU_TAGS, kinds={"torch"})
"""`@artifact` of what is made of models, one partition for each study."""


def study_of(context: dg.AssetExecutionContext) -> Study:
    """The study that a run is about."""
    key = context.partition_key
    name = key.keys_by_dimension["study"] if isinstance(key, dg.MultiPartitionKey) else key
    return studies()[str(name)]
