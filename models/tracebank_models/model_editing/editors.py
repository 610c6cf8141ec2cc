"""The editors by name."""

from __future__ import annotations

from typing import Any, Final

from transformers import PreTrainedModel

from .editor import Editor
from .fine_tuning import FineTuning
from .mass import Mass, NormConstrainedMass, NullSpaceMass
from .places import layer_count
from .rank_one import RankOne, RevisedRankOne

_ALL: Final = (FineTuning, RankOne, RevisedRankOne, Mass, NullSpaceMass, NormConstrainedMass)
EDITORS: Final[dict[str, type[Editor[Any]]]] = {one.name: one for one in _ALL}


def editor_settings(editor: str, model: PreTrainedModel, name: str) -> Any:
    """The published settings of an editor for a model of that name, or what a rule makes of its number of layers.

    Args:
        editor: Name of the editor.
        model: The model.
        name: Of the model, with or without its owner.

    Raises:
        ValueError: There is no such editor.
    """
    return editor_class(editor).preset(name, layer_count(model))


def editor_class(name: str) -> type[Editor[Any]]:
    """An editor.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in EDITORS:
        raise ValueError(f"editor: {name!r} is not allowed; allowed: {', '.join(EDITORS)}")
    return EDITORS[name]
