"""What addresses of the API name: models, layers, neurons, dictionaries, features and services."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Path
from sqlalchemy.orm import Session

from tracebank.explorer import unit_reads, unit_services
from tracebank.explorer.addresses import from_address
from tracebank.explorer.state import Missing
from tracebank.explorer.unit_services import Target

_MOST: Final = 1 << 32
ModelName = Annotated[str, Path(description="Name of a model; a / in it is written ~.", examples=["small"])]
ServiceName = Annotated[str, Path(description="A service, or the name of a note.", examples=["neuroscope"])]
NoteName = Annotated[str, Path(description="Name that a note is asked for by, as a service.", examples=["colour"])]
LayerNumber = Annotated[str, Path(description="Number of a layer, from 0.", examples=["0"])]
NeuronNumber = Annotated[str, Path(description="Number of a neuron of the layer, from 0.", examples=["0"])]
DictionaryName = Annotated[str, Path(description="Name of a dictionary; a / in it is written ~.")]
FeatureNumber = Annotated[str, Path(description="Number of a feature, from 0.", examples=["0"])]


def target_of(
    session: Session,
    model: str,
    layer: str | None = None,
    unit: str | None = None,
    dictionary: str | None = None,
) -> Target:
    """What an address is about.

    Raises:
        Missing: the model, the dictionary, the layer or the unit is not there.
    """
    facts = unit_reads.model(session, from_address(model))
    if dictionary is not None:
        name = from_address(dictionary)
        row = unit_reads.dictionary(session, name)
        if row.model != facts.model:
            known = [one.dictionary for one in unit_reads.dictionaries(session, facts.model)]
            raise Missing(f"model {facts.model!r} has {unit_reads.named('dictionary', name, known)}")
        number = None if unit is None else _number("feature", unit, row.d_sae, f"dictionary {name!r}")
        return Target(facts, name, row.layer, number, of_neurons=False)
    if layer is None:
        return Target(facts)
    at = _number("layer", layer, facts.layers, f"model {facts.model!r}")
    number = None if unit is None else _number("neuron", unit, facts.mlp_size, f"a layer of model {facts.model!r}")
    return Target(facts, unit_services.layer_name(facts.model, at), at, number)


def _number(kind: str, asked: str, count: int, of: str) -> int:
    if asked.isascii() and asked.isdecimal() and len(asked) < 11 and int(asked) < min(count, _MOST):
        return int(asked)
    raise Missing(f"no {kind} {asked[:100]!r}: {of} has {count:,}, from 0 to {count - 1}")
