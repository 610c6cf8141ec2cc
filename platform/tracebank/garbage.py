"""What nothing refers to any more: files of the home, and rows and partitions of studies whose models are gone.

A study lives as long as a model of its name is catalogued; what has a foreign key goes with the row that it is of, and
is no business of this module. Of the rest, shards of activations and documents of corpora are shared by content, files
lie outside of the stores, and no key reaches into the series store. What a path in the catalogue names is kept, with
the folder of its training; all else in the folders of `KINDS` goes, a training that was stopped before its end too.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Column, ColumnElement, Table, delete, false, func, or_, select

from tracebank import holds
from tracebank.ledger import Ledger
from tracebank_schemas.activations import ActivationShard
from tracebank_schemas.catalogue import METADATA, TABLES
from tracebank_schemas.ingest import IngestFile
from tracebank_schemas.language_model import TRAINING_CURVES, Corpus, CorpusDocument, LanguageModel
from tracebank_schemas.relational import HomePath

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tracebank.settings import Settings
    from tracebank.stores.relational import RelationalStore
    from tracebank.stores.series_store import SeriesStore
    from tracebank_schemas.series import Partition, SeriesTable

FRONTIERS: Final = "frontiers"
"""Folder of pictures, which are named for their models and stay as long as these."""
KINDS: Final = {"language_models": 3, "sparse_autoencoders": 2, "activations": 1, FRONTIERS: 1}
"""Folders of the home, and how deep in each a thing lies that goes or stays as one: a checkpoint of a training of a
model, a training of dictionaries, the shards of one site, a picture."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """One thing that nothing refers to."""

    kind: str
    """Folder of the home, or table."""
    name: str
    """Path below the home, or which rows."""
    files: int = 0
    bytes: int = 0
    rows: int = 0


class Home:
    """A home with its stores, looked at for what nothing refers to."""

    def __init__(self, settings: Settings, relational: RelationalStore, series: SeriesStore) -> None:
        self._home = settings.home
        self._relational = relational
        self._series = series

    def found(self) -> list[Garbage]:
        """What there is, removing nothing.

        Raises:
            Held: a run of the home is alive.
            StoreError: a store failed.
        """
        self._check_still()
        with self._relational.reading() as session:
            rows = [*_rows(session)]
            folders = [self._weighed(path) for path in self._folders(session)]
            partitions = [self._sized(*found) for found in self._partitions(session)]
        return [*folders, *(Garbage(str(table.name), name, rows=count) for table, name, _, count in rows), *partitions]

    def remove(self) -> list[Garbage]:
        """Remove it: rows first, so that a kill leaves files that the next call finds.

        Raises:
            Held: a run of the home, or another removal, is alive; what was removed until then is gone.
            StoreError: a store failed.
        """
        with holds.held(self._home, "gc"):
            found = self.found()
            with self._relational.session() as session:
                for rows, _, where, _ in [*_rows(session)]:
                    session.execute(delete(rows).where(where))
            with self._relational.reading() as session:
                folders, partitions = [*self._folders(session)], [*self._partitions(session)]
            for path in folders:
                self._check_still()
                path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)
                self._remove_empty(path.parent)
            for table, partition in partitions:
                self._check_still()
                self._series.delete(table, partition)
            Ledger(self._relational, self._series).gone(partitions, f"gc-{uuid.uuid4()}")
        return found

    def _check_still(self) -> None:
        for path in sorted((self._home / "held" / "runs").glob("*")):
            if holds.is_held(path, self._home) and (who := holds.holder(path)) is not None:
                raise holds.Held(f"gc: {who} computes a run of {self._home}; wait until it has ended, or stop it")

    def _folders(self, session: Session) -> Iterator[Path]:
        pictures = {self._home / FRONTIERS / f"{model}.svg" for model in _models(session)}
        named = {*_referred_to(session), *(Path(os.path.realpath(path)) for path in pictures)}
        for kind, depth in KINDS.items():
            yield from _unneeded(self._home / kind, depth, named, {above for path in named for above in path.parents})

    def _weighed(self, path: Path) -> Garbage:
        inside = [path] if path.is_symlink() or path.is_file() else [one for one in path.rglob("*") if not one.is_dir()]
        name = path.relative_to(self._home)
        return Garbage(name.parts[0], name.as_posix(), len(inside), sum(one.lstat().st_size for one in inside))

    def _remove_empty(self, folder: Path) -> None:
        while folder.parent != self._home and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent

    def _partitions(self, session: Session) -> Iterator[tuple[SeriesTable, Partition]]:
        """Partitions of studies and trainings whose models are gone."""
        models = _models(session)
        for table in TABLES.values():
            if "study" in table.partition_columns or table is TRAINING_CURVES:
                for partition, _ in self._series.partitions(table):
                    if "study" in partition:
                        living = _lives(str(partition["study"]), int(str(partition["seed"])), models)
                    else:  # a run is a model's, or its dictionaries', as in "small-ppo-seed0/dictionaries"
                        living = str(partition["run"]).partition("/")[0] in models
                    if not living:
                        yield table, partition

    def _sized(self, table: SeriesTable, partition: Partition) -> Garbage:
        size = self._series.size(table, partition)
        return Garbage(f"series.{table.name}", _shown(partition), bytes=size.bytes, rows=size.rows)


def _models(session: Session) -> set[str]:
    return set(session.scalars(select(LanguageModel.model)))


def _lives(study: str, seed: int, models: set[str]) -> bool:
    """Whether the model of a study and a seed is catalogued; those of before seeds had the study's name."""
    return f"{study}-seed{seed}" in models or (seed == 0 and study in models)


def _rows(session: Session) -> Iterator[tuple[Table, str, ColumnElement[bool], int]]:
    """Rows that no foreign key holds: table, which ones, their condition, and how many."""
    models = _models(session)
    living: list[ColumnElement[bool]] = []
    for table in METADATA.sorted_tables:
        if "study" not in table.columns or table.foreign_keys:
            continue
        study, seed = table.columns["study"], table.columns["seed"]
        dead = {}
        for name, number in session.execute(select(study, seed).distinct().order_by(study, seed)):
            of_both = (study == name) & (seed == number)
            if not _lives(name, number, models):
                dead[f"{name}, seed {number}"] = of_both
            elif table is Corpus.__table__:
                living.append(of_both)
        yield from _counted(session, table, dead)
    corpora = select(Corpus.corpus_hash).where(or_(false(), *living))
    weights = select(LanguageModel.weights_hash)
    shards, documents = _table(ActivationShard), _table(CorpusDocument)
    dead_shard = ActivationShard.model_hash.not_in(weights) | ActivationShard.corpus_hash.not_in(corpora)
    yield from _counted(session, shards, {"of weights or documents that are gone": dead_shard})
    dead_document = CorpusDocument.corpus_hash.not_in(corpora)
    yield from _counted(session, documents, {"of corpora that are gone": dead_document})


def _table(model: type[Any]) -> Table:
    return METADATA.tables[model.__tablename__]


def _counted(
    session: Session, table: Table, conditions: dict[str, ColumnElement[bool]]
) -> Iterator[tuple[Table, str, ColumnElement[bool], int]]:
    for name, where in conditions.items():
        if count := session.scalar(select(func.count()).select_from(table).where(where)):
            yield table, name, where, count


def _referred_to(session: Session) -> Iterator[Path]:
    """Every path that a row names, but for those of rows that go themselves."""
    going = {table: where for table, _, where, _ in _rows(session) if table is _table(ActivationShard)}
    for column in _paths():
        query = select(column).distinct()
        query = query.where(~going[column.table]) if column.table in going else query
        yield from (Path(os.path.realpath(path)) for path in session.scalars(query))


def missing_files(session: Session) -> tuple[int, dict[str, str]]:
    """Files and folders that rows name: how many, and of those that are not there the table."""
    found = {
        path: str(column.table.name)
        for column in _paths()
        if column.table is not _table(IngestFile)
        for path in session.scalars(select(column).distinct())
        if Path(path).is_absolute()  # else it is an id of the Hub
    }
    return len(found), {path: table for path, table in found.items() if not Path(path).exists()}


def _paths() -> Iterator[Column[Any]]:
    for table in METADATA.sorted_tables:
        yield from (column for column in table.columns if isinstance(column.type, HomePath))


def _unneeded(folder: Path, depth: int, named: set[Path], above: set[Path]) -> Iterator[Path]:
    """The largest things in a folder that nothing needs, and what dead writers left beside those that are needed.

    What is named is left as it is, and no link is followed: it may lead out of the home.
    """
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        place = Path(os.path.realpath(path))
        if place not in named and place not in above:
            yield path
        elif place in named or path.is_symlink():
            continue
        elif depth > 1:
            yield from _unneeded(path, depth - 1, named, above)
        else:
            yield from sorted(path.glob(".*.tmp"))


def _shown(partition: Partition) -> str:
    return ", ".join(f"{name}={value}" for name, value in partition.items())
