"""Every constant of Neuron to Graph, with the released code's value, and of what this room adds to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from tracebank_models.checked_settings import check_settings, require

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]

RATIO_DIGITS: Final = 4
"""Ratios of activations are rounded to so many digits before they are compared with a threshold."""
VALUE_DIGITS: Final = 3
"""Normalised activations are, as in the released code."""


@dataclass(frozen=True, slots=True)
class GraphSettings:
    """How graphs are made. `PAPERS` is the algorithm of the papers alone."""

    strongest_pivots: bool = False
    """Whether the pivots of a window are its strongest tokens, as in the papers, and not the position given with it."""
    pivot_share: Share = 1.0
    """Of the window's strongest activation, from which a token is a pivot where the strongest tokens are."""
    start_token: bool = True
    """Whether texts begin with the start token of a unit reader that has one."""
    skip_interval: Positive = 5
    """Only every so many lengths of the context are tried."""
    cutoff: Positive = 30
    """Longest context that is tried, the pivot counted."""
    whole_prefix: bool = False
    """Whether all that is before the pivot is tried too where it is shorter than the cutoff; where it is shorter than
    `skip_interval` it is what is kept in any case."""
    prune_ratio: Share = 0.5
    """The pivot's activation in the context over that in the window has to be above."""
    tokens_after: Count = 5
    """Most tokens after the pivot, to the end of its sentence."""
    sentence_end: str = r"[.!\n]"
    """A regular expression that is found in the last token of a sentence."""
    augment_importance: Share = 0.8
    """Importance to the pivot from which a token's word is substituted."""
    substitutes: Count = 5
    """Most substitutes of a word; 0 leaves augmentation out."""
    substitute_ratio: Share = 0.5
    """Pivot's activation with a substitute over that without, from which it is kept."""
    activation_threshold: Share = 0.5
    """Normalised activation above which a token is activating."""
    importance_threshold: Share = 0.75
    """Importance above which a token of the context stands in the path."""
    normalize_tokens: bool = True
    """Whether tokens are lower-cased where they are in title case, and stripped of blanks where they have a letter."""
    gaps: bool = True
    """Whether a context that is seen at several distances matches at all up to the largest at which the unit fires (not
    in the papers)."""
    gap_distances: Annotated[int, msgspec.Meta(ge=2, le=1_000)] = 2
    """Distances at which it has to be seen."""
    gap_reach: Positive = 64
    """Distance up to which the unit is tried with such a context farther away than it was seen."""
    case_variants: bool = False
    """Whether important words are tried in other cases too (not in the papers). A third more tokens are run; where
    tokens are normalised, words all in upper case are what it adds."""
    start_of_text: bool = True
    """Whether it is tried if a unit fires only at the beginning of a text (not in the papers)."""
    end_precision: Share = 0.2
    """Share of the pivots of train windows, silent ones too, on which an end has to be right; 0 as in the papers. There
    are about as many silent windows as others, chosen to be hard: half would drop ends that are right elsewhere."""
    negative_contexts: bool = False
    """Whether tokens that silence a unit are looked for in silent windows on which its graph fires (not in the papers).
    Up to four times the tokens are run, more where units depend on much context."""
    batch_tokens: Positive = 2_048
    """Tokens of a forward pass."""

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is not allowed; the line names it, its value and what is allowed.
        """
        check_settings(self)
        require(self, "cutoff", f"at least the skip_interval, {self.skip_interval}", self.cutoff >= self.skip_interval)
        try:
            re.compile(self.sentence_end)
        except re.error:
            require(self, "sentence_end", "a regular expression", False)


PAPERS: Final = GraphSettings(
    gaps=False, case_variants=False, start_of_text=False, end_precision=0.0, negative_contexts=False
)
"""Neuron to Graph as the released code has it, of pivots that are given."""
