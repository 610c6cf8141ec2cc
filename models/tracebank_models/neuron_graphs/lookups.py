"""What a graph has to be better than: the value seen on a token, alone or after the very tokens before it.

Many units are looked up at once in frames; a class is the look-up of one unit, which answers as its graph does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

import polars as pl

from tracebank_models.neuron_graphs.token_normalization import normalized_token

Statistic = Literal["maximum", "mean"]
"""Which of the values that were seen after the same tokens stands for them; the papers' is the maximum."""
_STATISTICS = {"maximum": pl.col("value").max(), "mean": pl.col("value").mean()}


class Predictor(Protocol):
    """What says how strongly a unit is to fire on each token of a text: a graph, or a look-up."""

    def predict(self, tokens: Sequence[str]) -> list[float]:
        """Values over the unit's maximum, one a token; 0 where it is not expected to fire."""


def _grams(tokens: pl.DataFrame, n: int) -> pl.DataFrame:
    """Add the n tokens before each of its window; null where the window has none."""
    before = (pl.col("token").shift(back).over("unit", "window").alias(f"before_{back}") for back in range(1, n + 1))
    return tokens.with_columns(*before)


def _keys(n: int) -> list[str]:
    return ["unit", "token", *(f"before_{back}" for back in range(1, n + 1))]


def gram_values(tokens: pl.DataFrame, n: int, statistic: Statistic = "maximum") -> pl.DataFrame:
    """What units did on each token after each n tokens; n of 0 is the look-up by token alone.

    Args:
        tokens: Columns unit, window, token (normalised text, or a number of it) and value, of the windows that units
            are described from; those of a window in their order.
        n: Tokens before.
        statistic: Of the values of the same tokens.

    Returns:
        A row for each unit and n + 1 tokens: unit, token, before_1 (the nearest) and so on, and value.
    """
    return _grams(tokens, n).group_by(_keys(n), maintain_order=True).agg(_STATISTICS[statistic])


def looked_up(tokens: pl.DataFrame, values: pl.DataFrame, n: int) -> pl.Series:
    """What is expected on other tokens.

    Args:
        tokens: Columns unit, window and token; those of a window in their order.
        values: `gram_values` with the same n.
        n: Tokens before.

    Returns:
        A value a row; 0 where these tokens were not seen.
    """
    found = _grams(tokens.select("unit", "window", "token"), n).join(
        values, on=_keys(n), how="left", nulls_equal=True, maintain_order="left"
    )
    return found["value"].fill_null(0.0)


class NGramLookup:
    """What one unit did on a token after the very n tokens before it."""

    def __init__(
        self,
        windows: Iterable[tuple[Sequence[str], Sequence[float]]],
        n: int = 5,
        *,
        statistic: Statistic = "maximum",
        normalize: bool = True,
    ) -> None:
        """Take in the windows that the unit is described from.

        Args:
            windows: Tokens of each, and the unit's values over its maximum.
            n: Tokens before.
            statistic: Of the values of the same tokens.
            normalize: Tokens are written as graphs write them (`normalized_token`).

        Raises:
            ValueError: A window has not as many values as tokens.
        """
        self.n, self.normalize = n, normalize
        seen = [self._window(*window) for window in windows]
        frame = pl.concat(part.with_columns(window=number) for number, part in enumerate(seen)) if seen else _NOTHING
        self._values = gram_values(frame, n, statistic)

    def _window(self, tokens: Sequence[str], values: Sequence[float]) -> pl.DataFrame:
        if len(tokens) != len(values):
            raise ValueError(f"windows: one has {len(tokens)} tokens and {len(values)} values: allowed is a value each")
        return pl.DataFrame({"unit": 0, "token": self._written(tokens), "value": pl.Series(values, dtype=pl.Float64)})

    def _written(self, tokens: Sequence[str]) -> pl.Series:
        return pl.Series([normalized_token(one) if self.normalize else one for one in tokens], dtype=pl.String)

    def predict(self, tokens: Sequence[str]) -> list[float]:
        """Values over the unit's maximum, one a token; 0 where these tokens were not seen."""
        frame = pl.DataFrame({"unit": 0, "window": 0, "token": self._written(tokens)})
        found: list[float] = looked_up(frame, self._values, self.n).to_list()
        return found


class TokenLookup(NGramLookup):
    """What one unit did on a token, whatever stands before it."""

    def __init__(
        self,
        windows: Iterable[tuple[Sequence[str], Sequence[float]]],
        *,
        statistic: Statistic = "maximum",
        normalize: bool = True,
    ) -> None:
        """See `NGramLookup`."""
        super().__init__(windows, 0, statistic=statistic, normalize=normalize)


_NOTHING = pl.DataFrame(schema={"unit": pl.Int32, "token": pl.String, "value": pl.Float64, "window": pl.Int32})
