"""Shapes of the API's answers, as the OpenAPI document tells them; answers are made as bytes and not out of these."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class Metadata(BaseModel):
    """A model and the services that have something to say of it."""

    name: str
    num_layers: int
    layer_size: int
    activation_function: str
    num_total_neurons: int
    num_total_parameters: int
    dataset: str
    available_services: list[str]


class Models(BaseModel):
    """All models."""

    models: list[Metadata]


class Page(BaseModel):
    """What a service says: `data`, or the types of data that the model has none of."""

    data: Any = None
    missing_data_types: list[str] | None = None
    metadata: Metadata | None = None


class Part(BaseModel):
    """What one of all services says."""

    data: Any = None
    missing_data_types: list[str] | None = None
    error: str | None = None


class DictionaryRow(BaseModel):
    """A dictionary or layer of neurons."""

    dictionary: str
    layer: int | None
    site: str
    architecture: str
    size: str
    d_sae: int
    study: str
    seed: int
    side: str
    units: int
    graphs: int
    texts: int


class UnitRow(BaseModel):
    """A unit in a list."""

    dictionary: str
    feature: int
    density: float
    max_activation: float
    top_tokens: list[str]
    graph: str | None
    f1: float | None
