"""What policies did: every step of every rollout."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from tracebank_schemas.series import Column, SeriesTable

_FLOATS: Final = pa.list_(pa.float32())

ROLLOUT_STEPS: Final = SeriesTable(
    name="rollout_steps",
    doc="Every step of a policy in environments: what it saw and did, what it got, and which rule it broke.",
    columns=(
        Column("run", pa.string(), "what the steps are of: a training, or an evaluation", repeated=True),
        Column("environment", pa.int32(), "number of the environment, from 0", codec="Delta, ZSTD"),
        Column("episode", pa.int32(), "of that environment, from 0", codec="Delta, ZSTD"),
        Column("step", pa.int32(), "of the episode, from 0", codec="Delta, ZSTD"),
        Column("observation", _FLOATS, "what the policy saw", codec="ZSTD"),
        Column("action", _FLOATS, "what it did; a choice is one number", codec="ZSTD"),
        Column("reward", pa.float32(), "of the step", codec="ZSTD"),
        Column("cost", pa.float32(), "of the step; without costs, 1 where a constraint is broken", codec="ZSTD"),
        Column(
            "satisfaction", _FLOATS, "with each constraint, in their order, 0 to 1; of the next state", codec="ZSTD"
        ),
        Column("terminated", pa.bool_(), "the episode ended here"),
        Column("truncated", pa.bool_(), "the episode was cut here"),
        Column(
            "final_observation", _FLOATS, "seen after an episode's or the run's last step, else empty", codec="ZSTD"
        ),
    ),
    sort_key=("environment", "episode", "step"),
    partition_by=("run",),
    unique_key=("environment", "episode", "step"),
)
