"""A home with a tiny model in its catalogue, sources to take examples from, and facts to edit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import torch
from sqlalchemy import func, select
from tests.tiny_models import byte_tokenizer
from tests.upgraded import upgraded
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from tracebank.resources import Stores
from tracebank.settings import Settings
from tracebank.stores.opening import open_relational
from tracebank.stores.relational import RelationalStore
from tracebank_assets.language_models.named import MODELS, named
from tracebank_assets.model_editing.edits import EDITS, edits

FUNCTION = '''
def {name}(x):
    """Say how many."""
    print(x)
    return len(x) + {number}
'''


def records(count: int) -> list[dict[str, Any]]:
    people = [f"{first} {last}" for last in ("Moss", "Hale") for first in ("Ada", "Bo", "Cy", "Di", "Ed", "Flo", "Gus")]
    return [
        {
            "case_id": number,
            "requested_rewrite": {
                "prompt": "{} lives in",
                "relation_id": "P1",
                "subject": people[number],
                "target_new": {"str": "Oslo"},
                "target_true": {"str": "Lima"},
            },
            "paraphrase_prompts": [f"The home of {people[number]} is"],
            "neighborhood_prompts": [f"{people[(number + step) % len(people)]} lives in" for step in (1, 2)],
            "attribute_prompts": [],
            "generation_prompts": [],
        }
        for number in range(count)
    ]


@dataclass(frozen=True)
class Home:
    """A home with a tiny model, and what materialising in it does."""

    settings: Settings
    relational: RelationalStore
    instance: dg.DagsterInstance
    model: str
    folder: Path

    @property
    def sources(self) -> str:
        return str(self.folder / "sources")

    @property
    def small(self) -> dict[str, Any]:
        return {"source": self.sources, "count": 8}

    def make(self, asset: Any, partition: str | None = None, **config: Any) -> dg.ExecuteInProcessResult:
        if partition:
            kind = EDITS if asset is edits else MODELS
            self.instance.add_dynamic_partitions(str(kind.name), [partition])
        return dg.materialize(
            [asset],
            partition_key=partition,
            instance=self.instance,
            resources={"stores": Stores()},
            run_config={"ops": {asset.key.to_python_identifier(): {"config": config}}} if config else None,
            raise_on_error=False,
        )

    def made(self, asset: Any, partition: str | None = None, **config: Any) -> dict[str, bool]:
        """Materialise well, and what checks found."""
        result = self.make(asset, partition, **config)
        assert result.success, fault(result)
        return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}

    def count(self, table: Any) -> int:
        with self.relational.reading() as session:
            return int(session.scalar(select(func.count()).select_from(table)) or 0)

    def content(self, table: Any) -> list[tuple[str, ...]]:
        names = [one.name for one in table.__table__.columns if one.name != "seconds"]
        with self.relational.reading() as session:
            return sorted(tuple(str(getattr(row, name)) for name in names) for row in session.scalars(select(table)))


def fault(result: dg.ExecuteInProcessResult) -> str:
    data = next(event.step_failure_data for event in result.all_events if event.is_step_failure)
    assert data.error is not None
    return str(data.error.cause.message if data.error.cause else data.error.message)


def write_sources(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number in range(8):
        (folder / f"part{number}.py").write_text(FUNCTION.format(name=f"tell{number}", number=number))


@pytest.fixture
def home(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("TRACEBANK_HOME", str(settings.home))
    monkeypatch.setenv("TRACEBANK_RELATIONAL_URL", settings.relational.render_as_string(hide_password=False))
    monkeypatch.setenv("TRACEBANK_DEVICE", "cpu")
    torch.manual_seed(3)
    tokenizer = byte_tokenizer()
    config = GPTNeoXConfig(
        vocab_size=257, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=256, initializer_range=0.3, bos_token_id=None, eos_token_id=256,
    )  # fmt: skip
    folder = tmp_path / "model"
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    tokenizer.eos_token = "<|padding|>"
    tokenizer.save_pretrained(folder)
    write_sources(tmp_path / "sources")
    upgraded(settings)
    relational = open_relational(settings)
    with dg.DagsterInstance.ephemeral() as instance:
        made = Home(settings, relational, instance, str(folder), tmp_path)
        made.made(named, made.model)
        yield made
    relational.close()
