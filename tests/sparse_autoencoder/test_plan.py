"""What a plan comes to, and which plans cannot be carried out."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tracebank_models.sparse_autoencoder.plan import (
    SIDES,
    SIZES,
    DictionaryPlan,
    demonstration,
    dictionary_name,
    study_dictionaries,
)


def test_a_plan_is_every_size_side_site_and_start_and_the_extras_at_one() -> None:
    plan = DictionaryPlan(k=40, initialisations=3)
    widths = {"layers.2.mlp": 16, "layers.0.mlp": 32}
    found = {config.name: config for config in study_dictionaries(widths, "layers.0.mlp", plan)}
    wanted = {
        dictionary_name(side, site, size, "tied_relu", number)
        for side in SIDES
        for site in widths
        for size in (SIZES if site == "layers.0.mlp" else plan.sizes)
        for number in range(3)
    }
    for kind in plan.extra_architectures:
        wanted.add(dictionary_name("both" if kind == "crosscoder" else "tuned", "layers.0.mlp", "big", kind, 0))
    assert set(found) == wanted
    for config in found.values():
        site = config.sites[-1].partition("/")[2]
        assert config.d_in == widths[site]
        assert config.d_sae == widths[site] * SIZES[config.name.rsplit("-", 3)[1]]
        if config.architecture == "topk":
            assert config.k == 40
    crosscoder = found[dictionary_name("both", "layers.0.mlp", "big", "crosscoder", 0)]
    assert crosscoder.sites == ("base/layers.0.mlp", "tuned/layers.0.mlp")


def test_base_and_tuned_never_begin_alike() -> None:
    """Nor do the initialisations of one, nor those of two seeds of a study."""
    seeds: dict[str, set[int]] = {}
    for study in range(3):
        for config in study_dictionaries({"x": 8}, "x", DictionaryPlan(initialisations=4, k=2), study):
            key = config.name.rpartition("-")[0].replace("tuned-", "-").replace("base-", "-")
            assert config.seed not in seeds.setdefault(key, set())
            seeds[key].add(config.seed)


def test_a_demonstration_is_less_of_the_same() -> None:
    plan = DictionaryPlan(l1=0.5)
    less = demonstration(plan)
    assert (less.epochs, less.larger_sizes, less.demonstration) == (1, (), True)
    assert set(less.extra_architectures) < set(plan.extra_architectures)
    assert (less.l1, less.initialisations, less.sizes) == (0.5, plan.initialisations, plan.sizes)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 0}, r"^DictionaryPlan.epochs: 0 is not allowed"),
        ({"batch_tokens": True}, r"^DictionaryPlan.batch_tokens: True is not allowed"),
        ({"initialisations": 0}, r"^DictionaryPlan.initialisations: 0 is not allowed"),
        ({"architecture": "crosscoder"}, r"^DictionaryPlan.architecture: 'crosscoder' is not allowed"),
        ({"architecture": "neurons"}, r"^DictionaryPlan.architecture: 'neurons' is not allowed; allowed: one of"),
        ({"extra_architectures": ("neurons",)}, r"^DictionaryPlan.extra_architectures: \('neurons',\) is not"),
        ({"architecture": "sparse"}, r"^DictionaryPlan.architecture: 'sparse' is not allowed; allowed: one of"),
        ({"extra_architectures": ("tied_relu",)}, r"^DictionaryPlan.extra_architectures: \('tied_relu',\) is not"),
        ({"extra_architectures": ("topk", "topk")}, r"^DictionaryPlan.extra_architectures: "),
        ({"sizes": ("big",)}, r"^DictionaryPlan.sizes: \('big',\) is not allowed; .*, with small, which"),
        ({"sizes": ("small", "3x")}, r"^DictionaryPlan.sizes: \('small', '3x'\) is not allowed"),
        ({"larger_sizes": ("big",)}, r"^DictionaryPlan.larger_sizes: \('big',\) is not allowed"),
    ],
)  # fmt: skip
def test_plans_that_cannot_be_carried_out(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(DictionaryPlan(), **changed)
