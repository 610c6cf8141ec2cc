"""Formulas: read, printed and read again; distances by hand; what cannot be read is one line with its position."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tracebank_models.constraint_logic.constraints import Constraint, Knowledge, parse
from tracebank_models.constraint_logic.formula import Box, Comparison, Joined, Name, Near, Not, Place, Quantified, Sum
from tracebank_models.constraint_logic.parsing import FormulaError, parsed
from tracebank_models.constraint_logic.vocabulary import Feature, Objects, Vocabulary

WORDS = Vocabulary(
    [
        Feature("agent", "m", 2),
        Feature("speed", "m/s"),
        Feature("angle", "rad"),
        Feature("turn", "rad"),
        Objects("hazard", "m"),
        Objects("vase", "m"),
    ]
)
NAN = math.nan
STATE = {
    "agent": np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]),
    "speed": np.array([0.2, 0.7, 1.0]),
    "angle": np.array([0.1, -0.3, 0.0]),
    "turn": np.array([0.0, 0.4, 1.0]),
    "hazard": np.array([[[0.3, 0.4], [3.0, 0.0]], [[1.0, 0.9], [NAN, NAN]], [[NAN, NAN], [NAN, NAN]]]),
    "vase": np.array([[[1.0, 0.0]], [[1.0, 1.0]], [[0.0, 0.1]]]),
}

_NUMBER = st.floats(-5, 5).map(lambda value: round(value, 3)) | st.floats(-1e3, 1e3)
_SUM = st.builds(
    lambda parts, constant: Sum(tuple(parts), constant),
    st.lists(st.tuples(_NUMBER.filter(bool), st.sampled_from([Name("angle"), Name("turn")])), min_size=1, max_size=3),
    _NUMBER,
)
_PREDICATE = st.one_of(
    st.builds(Comparison, _SUM, st.sampled_from(["<=", ">=", "<", ">"]), _NUMBER.map(lambda v: Sum((), v))),
    st.builds(lambda r: Near(Place((1.0, -2.0)), Sum((), abs(r))), _NUMBER),
    st.builds(
        lambda a, inside: Box(Name("agent"), Place((a, 0.0)), Place((a + 1, 2.0)), inside), _NUMBER, st.booleans()
    ),
)


def _more(part: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(part, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Not, part),
        st.builds(Joined, st.sampled_from(["and", "or", "iff"]), several),
        st.builds(lambda a, b: Joined("implies", (a, b)), part, part),
        st.builds(Quantified, st.sampled_from(["forall", "exists"]), st.just("hazard"), _PREDICATE),
    )


@given(st.recursive(_PREDICATE, _more, max_leaves=8))
def test_what_is_printed_is_read_again(formula: Any) -> None:
    read = parsed(str(formula), WORDS)
    assert str(read) == str(formula)
    assert parsed(str(read), WORDS) == read


@pytest.mark.parametrize(
    ("text", "distances"),
    [
        ("speed <= 0.5", [0.3, -0.2, -0.5]),
        ("speed <= 0.5 m/s", [0.3, -0.2, -0.5]),
        ("0.5 >= speed", [0.3, -0.2, -0.5]),
        ("abs(angle) < 0.25 rad", [0.15, -0.05, 0.25]),
        ("abs(2 * angle) <= 0.5", [0.15, -0.05, 0.25]),
        ("3 * angle + 4 * turn <= 1", [0.14, 0.06, -0.6]),
        ("distance(agent, (3, 4)) >= 2", [3.0, math.sqrt(13) - 2, 3.0]),
        ("norm(agent) <= 1 m", [1.0, 1 - math.sqrt(2), 1.0]),
        ("near((3, 4), 2)", [-3.0, 2 - math.sqrt(13), -3.0]),
        ("inside(agent, (-1, -2), (0.5, 3))", [0.5, -0.5, 0.5]),
        ("outside(agent, (-1, -2), (0.5, 0.5))", [-0.5, math.sqrt(0.5), -0.5]),
        ("forall hazard: distance(agent, hazard) >= 0.2", [0.3, -0.1, math.inf]),
        ("exists hazard: near(hazard, 1)", [0.5, 0.9, -math.inf]),
        ("forall hazard: (near(hazard, 0.6) implies speed <= 0.5)", [0.3, -0.2, math.inf]),
        ("forall hazard: exists vase: distance(hazard, vase) <= 2", [2 - math.hypot(0.7, 0.4), 1.9, math.inf]),
        ("not speed > 0.5", [0.3, -0.2, -0.5]),
        ("speed <= 0.5 and angle >= 0", [0.1, -0.3, -0.5]),
        ("speed <= 0.5 or angle >= 0", [0.3, -0.2, 0.0]),
        ("speed <= 0.5 iff angle >= 0", [0.1, 0.2, 0.0]),
    ],
)
def test_distances_are_those_by_hand(text: str, distances: list[float]) -> None:
    if text.startswith("forall hazard: exists"):
        distances = [min(2 - math.hypot(0.7, 0.4), 2 - 2.0), distances[1], distances[2]]
    found = parse(text, WORDS, p=2, margin=0.5).evaluate(STATE)
    assert found.distance == pytest.approx(distances, abs=1e-12)
    torch_found = parse(text, WORDS, margin=0.5).evaluate({k: torch.from_numpy(v) for k, v in STATE.items()})
    assert torch_found.distance.numpy() == pytest.approx(found.distance, abs=1e-12)
    assert torch_found.satisfaction.numpy() == pytest.approx(found.satisfaction, abs=1e-12)
    assert torch_found.violated.tolist() == found.violated.tolist()


@given(
    st.sampled_from(
        [
            "distance(agent, (1, -2)) >= 0.5",
            "norm(agent) <= 1",
            "inside(agent, (-1, -2), (0.5, 3))",
            "outside(agent, (-1, -2), (0.5, 3))",
            "3 * angle - 4 * turn <= 1",
            "forall hazard: distance(agent, hazard) >= 0.2",
            "not near((0, 1), 2) and (angle <= turn or exists vase: near(vase, 1))",
        ]
    ),
    st.lists(st.floats(-4, 4), min_size=8, max_size=8),
    st.floats(1, 20) | st.just(math.inf),
)
def test_a_distance_says_how_far_a_state_may_move_at_least(text: str, moved: list[float], p: float) -> None:
    """Moved by a p-norm of so much, no formula's distance changes by more: what is far from broken stays whole."""
    before, move = np.array(moved[:4]), np.array(moved[4:])
    places = np.stack([before, before + move])
    state = {
        "speed": np.zeros(2),
        "agent": places[:, :2],
        "angle": places[:, 2],
        "turn": places[:, 3],
        "hazard": np.tile([[[0.3, 0.4], [3.0, 0.0], [NAN, NAN]]], (2, 1, 1)),
        "vase": np.tile([[[1.0, 0.0]]], (2, 1, 1)),
    }
    found = parse(text, WORDS, p=p, margin=10.0).evaluate(state)
    assert abs(found.distance[1] - found.distance[0]) <= np.linalg.norm(move, p) + 1e-9
    assert (found.violated == (found.distance < 0)).all()


def test_half_spaces_are_measured_in_the_dual_norm() -> None:
    text = "3 * angle + 4 * turn <= 1"
    found = [float(parse(text, WORDS, p=p).evaluate(STATE).distance[0]) for p in (1.0, 2.0, math.inf)]
    assert found == pytest.approx([0.7 / 4, 0.7 / 5, 0.7 / 7])


def test_a_margin_is_kept_by_its_share_and_shape() -> None:
    state = {**STATE, "speed": np.array([0.3, 0.45, 0.6])}
    shares = {
        shape: parse("speed <= 0.5", WORDS, margin=0.1, shape=shape).evaluate(state).satisfaction.round(12).tolist()
        for shape in ("linear", "square", "concave")
    }
    assert shares == {"linear": [1, 0.5, 0], "square": [1, 0.25, 0], "concave": [1, 0.75, 0]}


def test_products_are_the_released_way_of_joining_kinds() -> None:
    text = "(forall hazard: distance(agent, hazard) >= 0.2) and (forall vase: distance(agent, vase) >= 0.5)"
    found = parse(text, WORDS, margin=1.0, connectives="product").evaluate(STATE).satisfaction
    assert found == pytest.approx([0.3 * 1.0 * 0.5, 0.0, 0.0])


def test_what_holds_at_the_boundary_is_as_logic_has_it() -> None:
    state = {**STATE, "speed": np.array([0.5, 0.5, 0.5])}
    broken = {
        text: parse(text, WORDS).evaluate(state).violated[0]
        for text in ("speed <= 0.5", "speed < 0.5", "not speed <= 0.5")
    }
    assert broken == {"speed <= 0.5": False, "speed < 0.5": True, "not speed <= 0.5": True}


def test_objects_that_are_not_there_hold_for_all_and_leave_gradients_alone() -> None:
    state = {name: torch.from_numpy(array.copy()) for name, array in STATE.items()}
    state["agent"].requires_grad_()
    found = parse("forall hazard: distance(agent, hazard) >= 0.2", WORDS, margin=2.0).evaluate(state)
    assert found.satisfaction[2] == 1
    (gradient,) = torch.autograd.grad(found.satisfaction.sum(), state["agent"])
    assert torch.isfinite(gradient).all()
    assert gradient[0].tolist() == pytest.approx([-0.3, -0.4])
    assert gradient[2].tolist() == [0, 0]


def test_knowledge_is_all_of_it() -> None:
    known = Knowledge([parse("speed <= 0.5", WORDS), parse("angle >= 0", WORDS)])
    found = known.evaluate(STATE)
    assert found.violated.tolist() == [[False, False], [True, True], [True, False]]
    assert known.cost(STATE).tolist() == [0, 1, 1]
    with pytest.raises(ValueError, match="constraints: none is not allowed"):
        Knowledge([])


def test_many_states_are_measured_as_few_are() -> None:
    rows = 40_000
    chance = np.random.default_rng(0)
    state = {name: chance.normal(size=(rows, *array.shape[1:])).astype(np.float32) for name, array in STATE.items()}
    texts = ("abs(speed) <= 0.5", "forall hazard: (near(hazard, 0.5) implies abs(speed) <= 1)", "angle > 0 or turn > 0")
    known = Knowledge(parse(text, WORDS, margin=0.5) for text in texts)
    found = known.evaluate(state)
    for at, one in enumerate(known):
        for whole, alone in zip(found, one.evaluate(state), strict=True):
            assert np.array_equal(whole[:, at], alone)
    assert (found.satisfaction.dtype, found.violated.shape) == (np.float32, (rows, 3))
    tensors = known.evaluate({name: torch.from_numpy(array) for name, array in state.items()})
    assert tensors.satisfaction.numpy() == pytest.approx(found.satisfaction, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("weight <= 1", 0, "'weight' is not allowed; allowed: speed, angle, turn"),
        ("forall cat: speed <= 1", 7, "'cat' is not allowed; allowed: a kind of objects: hazard, vase"),
        ("distance(agent, hazard) >= 0.2", 16, "'hazard' is not allowed; allowed: agent"),
        ("distance(agent) >= 0.2", 14, "')' is not allowed; allowed: ','"),
        ("distance(agent, (1, 2), (3, 4)) > 1", 22, "',' is not allowed; allowed: ')'"),
        ("distance(agent, (1, 2, 3)) > 1", 25, "points of as many numbers"),
        ("speed <= 0.5 m", 9, "a value in m is not allowed; allowed: one in m/s"),
        ("speed + angle <= 1", 8, "a value in rad is not allowed; allowed: one in m/s"),
        ("speed <= angle", 9, "a value in rad"),
        ("near((0, 0), 1 rad)", 18, "a value in rad is not allowed; allowed: one in m"),
        ("speed <= 0.5 speed", 9, "a value in speed is not allowed"),
        ("speed <= 0.5)", 12, "')' is not allowed; allowed: and, or, implies, iff, or the end"),
        ("speed <=", 8, "the end is not allowed; allowed: speed, angle, turn"),
        ("speed = 1", 6, "'=' is not allowed"),
        ("1 <= 2", 5, "allowed: a feature on one of its sides"),
        ("", 0, "the end is not allowed"),
        ("speed <= 1 and", 14, "the end is not allowed"),
        ("inside(agent, (1, 0), (0, 1))", 28, "the low corner before the high one"),
        ("not " * 60 + "speed <= 1", 200, "at most 50 formulas within one another"),
        ("speed <= 1" + " " * 10_000, 10_000, "at most 10,000"),
        ("__import__('os') <= 1", 11, "''' is not allowed"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, position: int, message: str) -> None:
    with pytest.raises(FormulaError, match=re.escape(message).replace("'''", '"\'"')) as told:
        parse(text, WORDS)
    assert told.value.position == position
    assert f"position {position}" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"p": 0.5}, "p: 0.5"),
        ({"p": math.nan}, "p: nan"),
        ({"margin": 0.0}, "margin: 0.0"),
        ({"shape": "cubic"}, "shape: 'cubic' is not allowed; allowed: linear, square, concave"),
        ({"connectives": "min"}, "connectives: 'min'"),
    ],
)
def test_rules_out_of_range_are_one_line(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse("speed <= 1", WORDS, **rules)


def test_a_state_of_another_shape_is_one_line() -> None:
    constraint = parse("speed <= 1", WORDS)
    assert isinstance(constraint, Constraint)
    with pytest.raises(ValueError, match=r"state: feature 'speed' has shape \[3, 1\]; allowed: \[n\] with n = 3"):
        constraint.evaluate({**STATE, "speed": np.zeros((3, 1))})
    with pytest.raises(ValueError, match="state: feature 'vase' is missing"):
        constraint.evaluate({name: array for name, array in STATE.items() if name != "vase"})
    with pytest.raises(ValueError, match="'near' is not allowed"):
        Vocabulary([Feature("near")])
    with pytest.raises(ValueError, match="'a' is not allowed a second time"):
        Vocabulary([Feature("a"), Feature("a")])
