"""Runs of edits: each fact by itself on the unedited model, or one after another on a model that keeps them all.

Finished rows come as they are done. A run that goes on is told what is done and leaves it out; its rows are the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tracebank_models.model_editing.restored import WeightGuard, edited, restored
from tracebank_models.model_editing.trace import EditTrace

from .edit_setup import MOMENTS, EditSetup, Moment, edit_rows
from .records import EditCase
from .usable_cases import edit_request

_TIMES: Final = 10


@dataclass(frozen=True, slots=True)
class FinishedRows:
    """Rows that belong together: they are to be stored at once or not at all."""

    edits: pl.DataFrame
    """See `edit_setup.EDITS_SCHEMA`."""
    scores: pl.DataFrame
    """See `metrics.SCORES_SCHEMA`."""


def single_edits(
    setup: EditSetup, cases: Sequence[EditCase], done: Collection[int] = (), together: int = 16
) -> Iterator[FinishedRows]:
    """Edit each case into the unedited model, score it, and put the weights back, which hashes of all tensors prove.

    Args:
        setup: The model and its editor; afterwards as before.
        cases: What is edited.
        done: Ids of cases that are left out.
        together: Cases whose values are searched in one batch; nothing that comes out depends on it but `seconds`.

    Yields:
        Of each case its edit, and its scores unedited and after the edit.

    Raises:
        ValueError: A case cannot be edited or scored, or see `EditSetup.check`.
        RuntimeError: A tensor is not what it was before an edit.
    """
    setup.check()
    guard = WeightGuard(setup.model)
    left = [case for case in cases if case.case_id not in done]
    for start in range(0, len(left), together):
        some = left[start : start + together]
        requests = [edit_request(case) for case in some]
        values = setup.editor.prepare(setup.model, setup.tokenizer, requests, setup.prefixes)
        for at, case in enumerate(some):
            before = setup.score(case, "unedited")
            how = (setup.moments, setup.prefixes, values and values[at : at + 1], guard)
            with edited(setup.model, setup.tokenizer, setup.editor, requests[at : at + 1], *how) as traces:
                after = setup.score(case, "after_edit", before.distributions)
            yield FinishedRows(edit_rows(setup, [case], traces), pl.concat([before.rows, after.rows]))
    guard.check(whole=True)


def sequential_edits(
    setup: EditSetup, cases: Sequence[EditCase], done: Collection[tuple[int, Moment]] = (), together: int = 1
) -> Iterator[FinishedRows]:
    """Edit cases one after another into the same model, and score each at every moment that it comes to.

    A run that goes on makes all edits again, as editors remember what they wrote, and scores what is not done.

    Args:
        setup: The model and its editor; afterwards as before.
        cases: What is edited, in this order.
        done: Ids and moments that are left out; an edit's row goes with its moment `after_edit`.
        together: Cases that are edited at once.

    Yields:
        Of a case at a moment its scores, with its edit at `after_edit`.

    Raises:
        ValueError: A case cannot be edited or scored, or see `EditSetup.check`.
        RuntimeError: A tensor is not what it was before the run.
    """
    wanted = {(case.case_id, moment) for at, case in enumerate(cases) for moment in _reached(at, len(cases))} - set(
        done
    )
    if not wanted:
        return
    setup.check()
    nothing = edit_rows(setup, [], [])
    with TemporaryDirectory() as folder, restored(setup.model, setup.editor):
        before = _Unedited(setup, Path(folder))
        for case in cases:
            if any((case.case_id, moment) in wanted for moment in MOMENTS):
                rows = before.scored(case)
                if (case.case_id, "unedited") in wanted:
                    yield FinishedRows(nothing, rows)
        for traces, some, moment in _edited_in_turn(setup, cases, together):
            for at, case in enumerate(some):
                if (case.case_id, moment) in wanted:
                    rows = setup.score(case, moment, before.distributions(case)).rows
                    edits = edit_rows(setup, [case], traces[at : at + 1]) if traces else nothing
                    yield FinishedRows(edits, rows)


def _reached(at: int, edits: int) -> list[Moment]:
    """Moments that the case at a place comes to in a run of so many edits."""
    return [moment for moment in MOMENTS if moment != "after_ten_times" or _TIMES * (at + 1) <= edits]


def _edited_in_turn(
    setup: EditSetup, cases: Sequence[EditCase], together: int
) -> Iterator[tuple[list[EditTrace], Sequence[EditCase], Moment]]:
    """Make all edits; after each, the cases that have come to a moment."""
    late = 0
    for start in range(0, len(cases), together):
        some = cases[start : start + together]
        requests = [edit_request(case) for case in some]
        traces = setup.editor.apply(setup.model, setup.tokenizer, requests, setup.moments, setup.prefixes)
        yield traces, some, "after_edit"
        due = (start + len(some)) // _TIMES
        yield [], cases[late:due], "after_ten_times"
        late = due
    yield [], cases, "end"


class _Unedited:
    """What the unedited model says of cases, on disk: distributions over a vocabulary are large."""

    def __init__(self, setup: EditSetup, folder: Path) -> None:
        self._setup, self._folder = setup, folder

    def scored(self, case: EditCase) -> pl.DataFrame:
        found = self._setup.score(case, "unedited")
        np.save(self._folder / f"{case.case_id}.npy", found.distributions.cpu().numpy())
        return found.rows

    def distributions(self, case: EditCase) -> Tensor:
        found = torch.from_numpy(np.load(self._folder / f"{case.case_id}.npy"))
        return found.to(self._setup.model.device)
