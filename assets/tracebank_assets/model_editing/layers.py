"""Asset `model_editing/layers`: second moments of a model's keys, and the layer that its facts are edited in."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import dagster as dg
from pydantic import Field
from sqlalchemy import select

from tracebank.progress import track
from tracebank.resources import Stores
from tracebank.stores.relational import RelationalStore
from tracebank_assets.artifacts import artifact
from tracebank_assets.devices import prepared_device, threads_for
from tracebank_assets.language_models.catalogue import catalogued, load_catalogued
from tracebank_assets.language_models.keys import NAMED
from tracebank_assets.language_models.named import MODELS
from tracebank_assets.materialised import materialised
from tracebank_assets.model_editing.cases import stored_cases
from tracebank_assets.model_editing.keys import CASES, GROUP
from tracebank_assets.studies import on_gpu
from tracebank_schemas.model_editing import EditLayer, SecondMoment

if TYPE_CHECKING:
    from tracebank_models.counterfact.layer_choice import LayerChoice
    from tracebank_models.counterfact.records import EditCase as Case

_ENOUGH: Final = "a_layer_says_facts"
_KNOWS: Final = "knows_its_facts"
LEAST_KNOWN: Final = 0.95
CHECKS: Final = {
    _ENOUGH: "In the chosen layer v* makes the model say facts: no run of edits begins without.",
    _KNOWS: f"The model says at least {LEAST_KNOWN:.0%} of the true objects; of models from elsewhere told, not asked.",
}


class LayersConfig(dg.Config):
    """What the layer is chosen on, and what moments are of."""

    dataset: str = Field(default="", description="Cases; empty: those of the model's own world.")
    facts: int = Field(default=10, ge=5, description="Last so many cases, which v* is searched for in every layer.")
    layers: list[int] = Field(default=[], description="Layers that are tried; empty: all.")
    documents: int = Field(default=5_000, ge=1, description="Texts that second moments are of.")
    enough: float = Field(default=0.5, gt=0, description="Nats a token that v* may leave in the median fact.")


@artifact(
    GROUP,
    EditLayer,
    SecondMoment,
    checks=CHECKS,
    deps=[NAMED, CASES],
    partitions_def=MODELS,
    **on_gpu(),
    kinds={"torch"},
)
def layers(context: dg.AssetExecutionContext, config: LayersConfig, stores: Stores) -> dg.MaterializeResult:
    """How well v* in each layer says facts that the model does not know, and second moments of each layer's keys.

    The cases are the last ones, which no run of edits takes. Moments lie in the home, in folder
    `model_editing`.
    """
    from tracebank_models.counterfact.layer_choice import choose_layer
    from tracebank_models.counterfact.metrics import known_objects
    from tracebank_models.model_editing.second_moments import second_moments

    name = context.partition_key
    row = catalogued(stores.relational, name)
    device = prepared_device(stores.settings, threads_for(row.parameters))
    with materialised(context, stores) as made:
        made.device = str(device)
        cases = stored_cases(stores.relational, config.dataset or name)
        loaded = load_catalogued(stores.relational, name, device)
        tried = config.layers or list(range(row.layers))
        path = moments_file(stores.settings.home, name)
        with track(f"layers of {name}", len(tried)) as advance:
            found = choose_layer(
                loaded.model, loaded.tokenizer, name, cases[-config.facts :], tried, config.enough, advance
            )
        moments = second_moments(loaded.model, loaded.tokenizer, _texts(name, config.documents), tried)
        path.parent.mkdir(parents=True, exist_ok=True)
        moments.save(path)
        told = {"model": name, "facts": found.facts, "enough": found.enough}
        chosen = [{"layer": at, "loss": loss, "chosen": at == found.layer, **told} for at, loss in found.losses.items()]
        made.into(EditLayer, EditLayer.model == name).write(chosen)
        about = {"model": name, "width": row.mlp_size, "tokens": moments.tokens, "weights_hash": row.weights_hash}
        rows = [{"layer": at, "path": str(path), **about} for at in tried]
        made.into(SecondMoment, SecondMoment.model == name).write(rows)
        known = known_objects(loaded.model, loaded.tokenizer, cases)
    figures = {"layer": found.layer, "loss": round(found.loss, 4), "known": round(known, 4), "tokens": moments.tokens}
    return made.result(figures, _results(found, known, name))


def _results(found: "LayerChoice", known: float, name: str) -> list[dg.AssetCheckResult]:
    from tracebank_models.language_model.recipes import WORLD_RECIPES

    losses = {f"layer {layer}": loss for layer, loss in found.losses.items()}
    asked = name in WORLD_RECIPES
    return [
        dg.AssetCheckResult(check_name=_ENOUGH, passed=found.loss <= found.enough, metadata=losses),
        dg.AssetCheckResult(
            check_name=_KNOWS,
            passed=known >= LEAST_KNOWN or not asked,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"share": known},
        ),
    ]


def moments_file(home: Path, name: str) -> Path:
    """Where the second moments of a model lie."""
    return home / GROUP / name.replace("/", "--") / "second_moments.safetensors"


def _texts(name: str, documents: int) -> Iterator[str]:
    """Texts of the model's own world, or docstrings of the standard library."""
    from itertools import islice

    from tracebank_models.language_model.recipes import WORLD_RECIPES, world_of
    from tracebank_models.language_model.standard_library import standard_library_documents

    own = world_of(name).texts() if name in WORLD_RECIPES else standard_library_documents(("docstrings",))
    return (document.text for document in islice(own, documents))


def stored_choice(relational: RelationalStore, model: str) -> "LayerChoice":
    """The layer that a model's facts are edited in.

    Raises:
        dg.Failure: it was not chosen yet.
    """
    from tracebank_models.counterfact.layer_choice import LayerChoice

    columns = EditLayer.layer, EditLayer.loss, EditLayer.facts, EditLayer.enough, EditLayer.chosen
    with relational.reading() as session:
        rows = session.execute(select(*columns).where(EditLayer.model == model).order_by(EditLayer.layer)).all()
    chosen = [row for row in rows if row.chosen]
    if not chosen:
        raise dg.Failure(f"{model!r} has no layer for edits; materialise model_editing/layers first")
    best = chosen[0]
    return LayerChoice(best.layer, best.loss, best.enough, {row.layer: row.loss for row in rows}, best.facts)


def unseen(cases: "list[Case]", choice: "LayerChoice") -> "list[Case]":
    """Cases that the layer was not chosen on.

    Raises:
        dg.Failure: there is none.
    """
    if len(cases) <= choice.facts:
        raise dg.Failure(f"cases: all {len(cases)} chose the layer; materialise model_editing/layers on fewer facts")
    return cases[: -choice.facts]
