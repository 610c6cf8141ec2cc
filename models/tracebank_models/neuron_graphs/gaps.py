"""Contexts of no fixed place: what a unit needs at several distances, it is tried with at larger ones too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice, pairwise

from .settings import GraphSettings
from .shared_runs import Runs
from .trie import Path
from .windows import Ids


@dataclass(slots=True)
class _Gapped:
    """Paths of one unit with the same tokens at several distances."""

    unit: int
    farthest: Path
    reaches: list[int]
    """Of each named token but the activating one, to the named token after it."""


@dataclass(frozen=True, slots=True)
class _Trial:
    """A text in which one context is farther away."""

    gapped: _Gapped
    pair: int
    reach: int
    ids: Ids
    position: int


def with_gaps(runs: Runs, paths: Mapping[int, Sequence[Path]], settings: GraphSettings) -> dict[int, list[Path]]:
    """Paths of units, with one path with gaps in the place of those whose context is the same at several distances."""
    groups = {unit: _groups(own) for unit, own in paths.items()}
    gapped = {
        (unit, name): _gapped(unit, group)
        for unit, named in groups.items()
        for name, group in named.items()
        if len({tuple(path.places) for path in group}) >= settings.gap_distances
    }
    _widen(runs, list(gapped.values()), settings)
    return {
        unit: [
            path
            for name, group in named.items()
            for path in ([_path(gapped[unit, name], group)] if (unit, name) in gapped else group)
        ]
        for unit, named in groups.items()
    }


def _groups(paths: Sequence[Path]) -> dict[tuple[str, ...], list[Path]]:
    """Paths by their tokens; each path alone that has no context, or begins a text."""
    groups: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for number, path in enumerate(paths):
        named = tuple(path.steps[back].token for back in path.places)
        alone = len(named) == 1 or path.steps[-1].kind != "token"
        groups[(str(number), *named) if alone else ("", *named)].append(path)
    return groups


def _gapped(unit: int, group: Sequence[Path]) -> _Gapped:
    distances = [[after - before for before, after in pairwise(path.places)] for path in group]
    reaches = [max(column) for column in zip(*distances, strict=True)]
    return _Gapped(unit, max(group, key=lambda path: path.places[-1]), reaches)


def _path(gapped: _Gapped, group: Sequence[Path]) -> Path:
    first, *context = (group[0].steps[back] for back in group[0].places)
    gaps = [
        replace(step, kind="gap", reach=reach) if reach > 1 else step
        for step, reach in zip(context, gapped.reaches, strict=True)
    ]
    return replace(group[0], steps=[first, *gaps])


def _widen(runs: Runs, gapped: Sequence[_Gapped], settings: GraphSettings) -> None:
    """Raise reaches to the largest distance at which the unit still fires."""
    trials = [trial for one in gapped for trial in _trials(one, runs.room, settings)]
    plain = runs.values([(one.gapped.farthest.ids, one.gapped.unit) for one in trials])
    moved = runs.values([(one.ids, one.gapped.unit) for one in trials])
    first = len(runs.start)
    for one, before, after in zip(trials, plain, moved, strict=True):
        fires = after[first + one.position] > settings.prune_ratio * before[first + one.gapped.farthest.position]
        if fires:
            one.gapped.reaches[one.pair] = max(one.gapped.reaches[one.pair], one.reach)


def _trials(one: _Gapped, room: int, settings: GraphSettings) -> list[_Trial]:
    ids = one.farthest.ids[: one.farthest.position + 1]
    found = []
    for pair, (before, after) in enumerate(pairwise(one.farthest.places)):
        between = ids[len(ids) - after : len(ids) - 1 - before]
        filling = between or ids[: len(ids) - 1 - after]
        reach = min(settings.gap_reach, room - len(ids) + after - before)
        while filling and one.reaches[pair] > 1 and reach > one.reaches[pair]:
            added = tuple(islice(cycle(filling), reach - (after - before)))
            at = len(ids) - after  # right after the context
            found.append(_Trial(one, pair, reach, ids[:at] + added + ids[at:], one.farthest.position + len(added)))
            reach //= 2
    return found
