"""What a run of edits is made with, whether it may begin, and the rows that edits leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, get_args

import polars as pl
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tracebank_models.log_likelihood.scorer import ScorerSettings
from tracebank_models.model_editing.editor import Editor
from tracebank_models.model_editing.editors import editor_class, editor_settings
from tracebank_models.model_editing.second_moments import SecondMoments
from tracebank_models.model_editing.settings import FineTuningSettings, RankOneSettings
from tracebank_models.model_editing.trace import EditTrace

from .layer_choice import LayerChoice
from .metrics import CaseScores, score_case
from .records import EditCase

Moment = Literal["unedited", "after_edit", "after_ten_times", "end"]
MOMENTS: Final[tuple[Moment, ...]] = get_args(Moment)
"""When a case is scored: before any edit, right after its own, after ten times as many edits as there were then, and
after the last one."""
EDITS_SCHEMA: Final = {
    "case_id": pl.Int64,
    "editor": pl.String,
    "order": pl.Int64,
    "layers": pl.String,
    "value_loss": pl.Float64,
    "seconds": pl.Float64,
    "weight_norm": pl.Float64,
    "change_norm": pl.Float64,
    "key_product": pl.Float64,
    "residual": pl.Float64,
    "chosen_layer": pl.Int64,
    "chosen_loss": pl.Float64,
}
"""A row for each edit, see `EditTrace`; `order` counts from 0, `layers` are those written to, as "0,1". `chosen_layer`
and `chosen_loss` are of the `LayerChoice` that let the run through; null of an editor that searches no values."""


@dataclass(frozen=True, slots=True)
class EditSetup:
    """A model and who edits it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    editor: Editor[Any]
    """One that has written nothing yet."""
    moments: SecondMoments | None = None
    prefixes: tuple[str, ...] = ()
    choice: LayerChoice | None = None
    """What the layers of an editor that searches values were chosen by; such a run does not begin without it."""
    scorer: ScorerSettings | None = None

    def check(self) -> None:
        """Let a run begin, or not.

        Raises:
            ValueError: The layers are not chosen from data, no layer is good enough, or the editor writes elsewhere.
        """
        if not hasattr(self.editor.settings, "search"):
            return
        if self.choice is None:
            raise ValueError(f"choice: none is not allowed with {self.editor.name}; allowed: chosen_layer(...)")
        self.choice.check()
        if self.choice.layer != self.editor.layers[-1]:
            allowed = f"layers that end with the chosen one, {self.choice.layer}"
            raise ValueError(f"layers: {list(self.editor.layers)} is not allowed; allowed: {allowed}")

    def score(self, case: EditCase, moment: Moment, unedited: Tensor | None = None) -> CaseScores:
        """Scores of a case under the model as it is now."""
        return score_case(self.model, self.tokenizer, case, moment, unedited, self.scorer)


def fitted_editor(
    editor: str, model: PreTrainedModel, name: str, layer: int, radius: float | None = None
) -> Editor[Any]:
    """An editor with the published settings of a model, or those of the rule, that writes where v* was seen to work.

    Args:
        editor: Name of the editor.
        model: The model.
        name: Of the model.
        layer: The chosen one; FT-L always writes to the first.
        radius: Of FT-L, in place of its own.

    Raises:
        ValueError: There is no such editor, or the radius is not allowed.
    """
    settings = editor_settings(editor, model, name)
    if isinstance(settings, FineTuningSettings):
        settings = settings if radius is None else replace(settings, radius=radius)
    elif isinstance(settings, RankOneSettings):
        settings = replace(settings, layer=layer)
    else:
        first = max(0, layer + 1 - len(settings.layers))
        settings = replace(settings, layers=tuple(range(first, layer + 1)))
    return editor_class(editor)(settings)


def edit_rows(setup: EditSetup, cases: Sequence[EditCase], traces: Sequence[EditTrace]) -> pl.DataFrame:
    """A row for each edit, see `EDITS_SCHEMA`."""
    chosen = {} if setup.choice is None else {"chosen_layer": setup.choice.layer, "chosen_loss": setup.choice.loss}
    rows = [
        {
            "case_id": case.case_id,
            "editor": setup.editor.name,
            **asdict(trace),
            "layers": ",".join(map(str, trace.layers)),
            **chosen,
        }
        for case, trace in zip(cases, traces, strict=True)
    ]
    return pl.DataFrame(rows, schema=EDITS_SCHEMA)
