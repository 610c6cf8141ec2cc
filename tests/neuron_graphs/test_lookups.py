"""Look-ups against dictionaries filled token by token; tokens are told apart as graphs do."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tracebank_models.neuron_graphs.lookups import NGramLookup, TokenLookup, gram_values, looked_up
from tracebank_models.neuron_graphs.token_normalization import normalized_texts, normalized_token


@pytest.mark.parametrize(
    ("token", "written"),
    [
        (" From", "from"),
        ("From", "from"),
        (" FROM", "FROM"),
        (" fRom", "fRom"),
        ("A", "A"),
        (" A", "a"),
        (" ", " "),
        ("  ", "  "),
        (" 1", " 1"),
        (" \U0001f642", " \U0001f642"),
        ("\x00", "\x00"),
        ("", ""),
        (" Ärger\n", "ärger"),
    ],
)
def test_tokens_are_written_as_in_the_released_code_and_only_once(token: str, written: str) -> None:
    assert normalized_token(token) == written
    assert normalized_token(written) == written
    texts = pl.Series("token", [token], pl.String)
    assert normalized_texts(texts).to_list() == [written]
    assert normalized_texts(texts, normalize=False).to_list() == [token]


def _drawn(seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    windows = [
        pl.DataFrame({"token": random.integers(0, 3, size), "value": random.random(size)}).with_columns(
            unit=pl.lit(unit), window=pl.lit(unit * 100 + number)
        )
        for unit in range(4)
        for number, size in enumerate(random.integers(1, 12, 6))
    ]
    return pl.concat(windows)


def _rows(tokens: pl.DataFrame, n: int) -> list[tuple[tuple[int, ...], float]]:
    """Unit, tokens before (as many as there are) and token of each row, and its value."""
    found = []
    for (unit, _), window in tokens.group_by("unit", "window", maintain_order=True):
        ids = window["token"].to_list()
        found += [((unit, *ids[max(at - n, 0) : at + 1]), value) for at, value in enumerate(window["value"])]
    return found


@pytest.mark.parametrize("n", [0, 1, 5])
@pytest.mark.parametrize("statistic", ["maximum", "mean"])
def test_look_ups_of_many_units_are_those_of_dictionaries(n: int, statistic: str) -> None:
    train, test = _drawn(0), _drawn(1)
    seen: dict[tuple[int, ...], list[float]] = {}
    for key, value in _rows(train, n):
        seen.setdefault(key, []).append(value)
    of = max if statistic == "maximum" else np.mean
    expected = [of(seen[key]) if key in seen else 0.0 for key, _ in _rows(test, n)]
    found = looked_up(test, gram_values(train, n, statistic), n)  # type: ignore[arg-type]
    assert any(expected)
    np.testing.assert_allclose(found, expected)


def test_the_look_up_of_one_unit_answers_as_a_graph_does() -> None:
    windows = [([" From", "a", "b"], [0.1, 0.2, 1.0]), (["b", "from"], [0.4, 0.3])]
    assert TokenLookup(windows).predict(["from", "B", "b", " b"]) == [0.3, 0.0, 1.0, 1.0]
    assert TokenLookup(windows, statistic="mean").predict(["b"]) == [0.7]
    assert TokenLookup(windows, normalize=False).predict([" From", "From"]) == [0.1, 0.0]
    assert NGramLookup(windows).predict(["from", "a", "b"]) == [0.1, 0.2, 1.0]
    assert NGramLookup(windows).predict(["a", "b"]) == [0.0, 0.0]
    assert NGramLookup(windows, 1).predict(["x", "a", "b"]) == [0.0, 0.0, 1.0]
    assert NGramLookup([]).predict(["a"]) == [0.0]
    assert TokenLookup([([], [])]).predict([]) == []


def test_a_window_needs_a_value_a_token() -> None:
    with pytest.raises(ValueError, match="one has 1 tokens and 2 values"):
        TokenLookup([(["a"], [0.1, 0.2])])
