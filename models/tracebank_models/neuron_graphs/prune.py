"""From windows to pruned texts: the shortest context in which a pivot still fires, and a few tokens after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .settings import RATIO_DIGITS, GraphSettings
from .shared_runs import Runs, Values
from .windows import Ids, UnitWindows, Window, fitted, sentence_rest


@dataclass(frozen=True, slots=True)
class PrunedText:
    """What is left of a window for one unit."""

    unit: int
    ids: Ids
    pivot: int
    scale: float
    """Pivot's activation in the window over the largest in the pruned context, which is the pivot's where it passed."""
    begins: bool
    """Whether its first token is the first of its document."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """Pruned texts of a unit, or why there is none."""

    texts: list[PrunedText]
    reason: str | None
    truncated: bool


@dataclass(frozen=True, slots=True)
class _Pivot:
    unit: int
    window: Window
    activation: float


def pruned_texts(runs: Runs, examples: Sequence[UnitWindows], settings: GraphSettings) -> list[Pruned]:
    """Prune the windows of many units; each length is tried for all of them at once."""
    windows = [[fitted(window, runs.room, settings.tokens_after) for window in one.windows] for one in examples]
    unread = [_read(runs, cut, settings) for cut in windows]
    asked = [(ids, one.unit) for one, read in zip(examples, unread, strict=True) for ids in read if ids]
    answers = iter(runs.values(asked))
    texts: list[Pruned] = []
    pivots: list[_Pivot] = []
    for one, cut, read in zip(examples, windows, unread, strict=True):
        values = [next(answers)[len(runs.start) :] if ids else None for ids in read]
        kept, reason = _firing(one.unit, cut, values, settings)
        pivots += kept
        lost = any(window.truncated or len(old.ids) > runs.room for window, old in zip(cut, one.windows, strict=True))
        texts.append(Pruned([], reason, lost))
    by_unit = {one.unit: pruned for one, pruned in zip(examples, texts, strict=True)}
    for text in _shortest(runs, pivots, settings):
        by_unit[text.unit].texts.append(text)
    return [
        replace(one, reason="no pruned text of its windows has an activation above 0")
        if one.reason is None and not one.texts
        else one
        for one in texts
    ]


def _read(runs: Runs, windows: Sequence[Window], settings: GraphSettings) -> list[Ids]:
    """What has to be read of a unit's windows: as far as the pivot, where that is given; () where all is known.

    What a unit does at the pivot of a window that begins as its document does has been read already. One that does the
    same everywhere may be constant, which other tokens have to tell.
    """
    constant = len({window.activation for window in windows}) == 1
    if settings.strongest_pivots:
        return [window.ids for window in windows]
    return [
        ()
        if not (constant or runs.start or window.truncated) and np.isfinite(window.activation)
        else window.ids[: window.pivot + 1]
        for window in windows
    ]


def _firing(
    unit: int, windows: Sequence[Window], read: Sequence[Values | None], settings: GraphSettings
) -> tuple[list[_Pivot], str | None]:
    """Pivots with an activation above 0, or why there is none."""
    if not windows:
        return [], "it has no windows"
    finite = [values is None or bool(np.isfinite(values).all()) for values in read]
    if not any(finite):
        return [], "its activations are not finite"
    seen = [values for values in read if values is not None]
    several = [values for values in seen if values.size > 1]
    if len(seen) == len(windows) and several and len(np.unique(np.concatenate(several))) == 1:
        return [], "its activations are constant"
    pivots = []
    for window, values, usable in zip(windows, read, finite, strict=True):
        if usable:
            pivots += _pivots(unit, window, values, settings)
    return pivots, None if pivots else "no pivot of its windows has an activation above 0"


def _pivots(unit: int, window: Window, values: Values | None, settings: GraphSettings) -> list[_Pivot]:
    if values is None:
        return [_Pivot(unit, window, window.activation)] if window.activation > 0 else []
    strongest = np.flatnonzero(values >= settings.pivot_share * values.max()).tolist()
    places = strongest if settings.strongest_pivots else [window.pivot]
    return [
        _Pivot(unit, Window(window.ids, place, float(values[place]), window.truncated), float(values[place]))
        for place in places
        if values[place] > 0
    ]


def tried_lengths(before: int, settings: GraphSettings) -> list[int]:
    """Lengths of the context that are tried, the pivot counted.

    Args:
        before: Tokens of the window up to the pivot, the pivot counted.
        settings: The settings.
    """
    longest = min(before, settings.cutoff)
    lengths = list(range(settings.skip_interval, longest + 1, settings.skip_interval))
    if before <= settings.cutoff and before not in lengths and (settings.whole_prefix or not lengths):
        lengths.append(before)
    return lengths


def _shortest(runs: Runs, pivots: Sequence[_Pivot], settings: GraphSettings) -> list[PrunedText]:
    lengths = [tried_lengths(one.window.pivot + 1, settings) for one in pivots]
    found: dict[int, PrunedText] = {}
    open_ones, attempt = list(range(len(pivots))), 0
    while open_ones:
        contexts = {at: _context(pivots[at].window, lengths[at][attempt]) for at in open_ones}
        read = runs.values([(contexts[at], pivots[at].unit) for at in open_ones])
        failed = []
        for at, values in zip(open_ones, read, strict=True):
            last = attempt == len(lengths[at]) - 1
            if last or passes(values, pivots[at].activation, settings):
                if values.max() > 0:
                    found[at] = _text(runs, pivots[at], len(contexts[at]), float(values.max()), settings)
            else:
                failed.append(at)
        open_ones, attempt = failed, attempt + 1
    return [found[at] for at in sorted(found)]


def _context(window: Window, length: int) -> Ids:
    return window.ids[window.pivot + 1 - length : window.pivot + 1]


def passes(values: Values, activation: float, settings: GraphSettings) -> bool:
    """Whether the last token, the pivot, is the strongest and keeps enough of its activation."""
    ratio = round(float(values[-1]) / activation, RATIO_DIGITS)
    return int(values.argmax()) == len(values) - 1 and ratio > settings.prune_ratio


def _text(runs: Runs, pivot: _Pivot, length: int, largest: float, settings: GraphSettings) -> PrunedText:
    window = pivot.window
    rest = sentence_rest(window.ids, window.pivot, runs.reader.texts, settings)
    context = _context(window, length)
    begins = length == window.pivot + 1 and not window.truncated
    ids = (context + rest)[: runs.room]
    return PrunedText(pivot.unit, ids, length - 1, pivot.activation / largest, begins)
