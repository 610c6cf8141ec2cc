"""Which functions and which of their names a dataset takes. Settings only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from tracebank_models.checked_settings import require, whole

Names = Literal["builtins", "others"]


@dataclass(frozen=True, slots=True)
class SwapSelection:
    """Which functions and pairs are taken. The defaults are the paper's rule, without names that are not clean."""

    names: Names = "builtins"
    """Which called names are swapped: builtins, or all others but those that the function binds (the second set)."""
    methods: bool = False
    """Whether methods are taken too."""
    documented: bool = True
    """Whether a function needs a docstring."""
    longest_words: int = 200
    """Most words of a function."""
    pairs: int = 1
    """Most different pairs of one function; its examples are one cluster."""
    clean: bool = True
    """Whether names are left out that are in the header, shadowed, assigned, or declared global or nonlocal."""
    seed: int = 42

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: A field is out of range; the line names it, its value and what is allowed.
        """
        require(self, "names", " or ".join(get_args(Names)), self.names in get_args(Names))
        whole(self, 1, 10**9, "longest_words", "pairs")
        whole(self, 0, 2**63 - 1, "seed")

    @property
    def name(self) -> str:
        """Scope, names and cleanness, e.g. `strict/builtins/clean`; pairs and seed where they are others than usual."""
        strict = "methods" if self.methods else "strict"
        scope = strict if self.documented else ("extended" if self.methods else "undocumented")
        usual = SwapSelection()
        unusual = [
            f"{name}={getattr(self, name)}"
            for name in ("pairs", "seed", "longest_words")
            if getattr(self, name) != getattr(usual, name)
        ]
        return "/".join((scope, self.names, "clean" if self.clean else "all", *unusual))
