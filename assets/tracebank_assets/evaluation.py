"""Evaluations as runs whose rows stand as they come: what is done is left out, a killed one goes on where it was."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import dagster as dg
import polars as pl
from sqlalchemy import select, update

from tracebank.stores.relational import RelationalStore
from tracebank_assets.materialised import Materialised
from tracebank_schemas.evaluation import EvalRun, EvalSample, EvalSummary
from tracebank_schemas.language_model import LanguageModel
from tracebank_schemas.relational import Base


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What is evaluated, and how: all that its numbers hang on."""

    evaluation: str
    model: str
    weights_hash: str
    tokenizer_hash: str
    dtype: str
    code_version: str
    """Of what scores."""
    settings: Mapping[str, Any]
    method: str = ""

    @property
    def run(self) -> str:
        """Key of its run: the same again is the same run."""
        said = {name: getattr(self, name) for name in self.__slots__ if name != "model"}
        return sha256(json.dumps(said, sort_keys=True, default=list).encode()).hexdigest()


def of_model(
    row: LanguageModel, evaluation: str, code_version: str, settings: Mapping[str, Any], method: str = ""
) -> Evaluated:
    """A model of the catalogue, to be evaluated."""
    told = row.weights_hash, row.tokenizer_hash, row.dtype
    return Evaluated(evaluation, row.model, *told, code_version, settings, method)


class EvalRows:
    """Rows of one run on their way into the store."""

    def __init__(self, relational: RelationalStore, run: str) -> None:
        self.run = run
        self._relational = relational

    def done(self, table: type[Base], *columns: str) -> set[tuple[Any, ...]]:
        """Keys of the rows of the run that stand."""
        wanted = [getattr(table, name) for name in columns]
        with self._relational.reading() as session:
            of_run = table.__table__.columns["run"] == self.run
            return set(map(tuple, session.execute(select(*wanted).where(of_run).distinct())))

    def keep(self, rows: Sequence[tuple[type[Base], pl.DataFrame]]) -> None:
        """Write rows of tables, without their run, in one transaction."""
        with self._relational.session() as session:
            for table, frame in rows:
                names = [column.name for column in table.__table__.columns if column.name != "run"]
                named = frame.select(name for name in names if name in frame.columns).to_dicts()
                self._relational.upsert(session, table, [{"run": self.run, **row} for row in named])

    def rows(self, table: type[Base]) -> pl.DataFrame:
        """The rows of the run in a table, without their run."""
        columns = [column for column in table.__table__.columns if column.name != "run"]
        with self._relational.reading() as session:
            found = session.execute(select(*columns).where(table.__table__.columns["run"] == self.run))
            names = [column.name for column in columns]
            return pl.DataFrame(list(map(tuple, found)), schema=names, orient="row", infer_schema_length=None)

    def finish(self, summaries: pl.DataFrame) -> None:
        """Write what the samples come to; the run has ended."""
        with self._relational.session() as session:
            rows = [{"run": self.run, **row} for row in summaries.to_dicts()]
            self._relational.replace(session, EvalSummary, EvalSummary.run == self.run, rows)
            ended = update(EvalRun).where(EvalRun.run == self.run, EvalRun.finished_at.is_(None))
            session.execute(ended.values(finished_at=datetime.now(UTC)))


@contextmanager
def eval_run(made: Materialised, relational: RelationalStore, evaluated: Evaluated) -> Iterator[EvalRows]:
    """A run of an evaluation, new or begun; at the end the asset tells of its samples.

    Raises:
        dg.Failure: it has no sample at the end.
    """
    run = evaluated.run
    said = {name: getattr(evaluated, name) for name in evaluated.__slots__}
    row = {"run": run, **said, "settings": dict(evaluated.settings), "started_at": datetime.now(UTC)}
    with relational.session() as session:
        if session.get(EvalRun, run) is None:
            relational.upsert(session, EvalRun, [{**row, "finished_at": None}])
    rows = EvalRows(relational, run)
    yield rows
    samples = rows.rows(EvalSample).sort("item", "metric")
    if samples.is_empty():
        raise dg.Failure(f"{evaluated.evaluation} of {evaluated.model!r} has no sample: nothing was evaluated")
    content = sha256(samples.write_csv().encode()).hexdigest()
    made.wrote(samples.height, int(samples.estimated_size()), content)


def newest_run(relational: RelationalStore, evaluation: str, model: str, method: str = "") -> EvalRun | None:
    """The newest run of a model that came to its end; None where there is none."""
    query = (
        select(EvalRun)
        .where(EvalRun.evaluation == evaluation, EvalRun.model == model, EvalRun.method == method)
        .where(EvalRun.finished_at.is_not(None))
        .order_by(EvalRun.started_at.desc())
    )
    with relational.reading() as session:
        found = session.scalars(query).first()
        if found is not None:
            session.expunge(found)
        return found
