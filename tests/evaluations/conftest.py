"""A home with a tiny model in its catalogue, sources to take examples from, and facts to edit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import torch
from tests import homes
from tests.tiny_models import byte_tokenizer
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from tracebank.settings import Settings
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
class Home(homes.Home):
    """A home with a tiny model."""

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
        return super().make(asset, partition, **config)

    def content(self, table: Any) -> list[tuple[str, ...]]:
        names = [one.name for one in table.__table__.columns if one.name != "seconds"]
        return sorted(tuple(str(getattr(row, name)) for name in names) for row in self.models(table))


def write_sources(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number in range(8):
        (folder / f"part{number}.py").write_text(FUNCTION.format(name=f"tell{number}", number=number))


@pytest.fixture
def home(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
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
    with homes.opened(settings, monkeypatch) as plain:
        made = Home(plain.settings, plain.relational, plain.instance, str(folder), tmp_path)
        made.made(named, made.model)
        yield made
