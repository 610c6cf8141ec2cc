"""What this revision changes: rows refer to what they are of, and go with it; paths in the home are stored from it on.

What is declared is held against what stands, so that a table or a column that an earlier revision has changed is left
to that one. Rows of what is gone already are removed, and counted in one line of the log.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

import sqlalchemy as sa
from alembic import op

from tracebank_schemas.relational import DEFERRED, IN_HOME, home_of

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


class _Reference(NamedTuple):
    table: str
    columns: tuple[str, ...]
    parent: str
    parents: tuple[str, ...]
    ondelete: str = "CASCADE"

    @property
    def name(self) -> str:
        return op.f(f"fk_{self.table}_{'_'.join(self.columns)}_{self.parent}")


def _of(parent: str, key: str, *children: str) -> tuple[_Reference, ...]:
    """References by one column, written `table.column`."""
    return tuple(_Reference(table, (name,), parent, (key,)) for table, name in (one.split(".") for one in children))


_FEATURE: Final = ("dictionary", "feature")
_REFERENCES: Final = (
    *_of("language_models", "model", "layer_divergences.model", "tensor_divergences.model"),
    *_of("language_models", "model", "sparse_autoencoders.model", "probes.model", "feature_dynamics.model"),
    *_of("sparse_autoencoders", "dictionary", "dictionary_metrics.dictionary", "dictionary_similarities.dictionary"),
    *_of("sparse_autoencoders", "dictionary", "dictionary_similarities.other", "feature_matches.dictionary"),
    *_of("sparse_autoencoders", "dictionary", "feature_matches.other", "features.dictionary"),
    _Reference("features", ("matched_dictionary",), "sparse_autoencoders", ("dictionary",), "SET NULL"),
    *_of("sparse_autoencoders", "dictionary", "ablated_features.dictionary", "feature_dynamics.dictionary"),
    *_of("sparse_autoencoders", "dictionary", "probe_weights.dictionary"),
    _Reference("feature_tokens", _FEATURE, "features", _FEATURE),
    _Reference("feature_explanations", _FEATURE, "features", _FEATURE),
    *_of("feature_explanations", "explanation", "feature_scores.explanation"),
    *_of("probes", "probe", "probe_metrics.probe", "probe_weights.probe", "reconstructed_rewards.probe"),
    *_of("probes", "probe", "probe_differences.probe", "probe_differences.less"),
)
"""A table stands here after those that its rows refer to."""
_INDEXES: Final = (
    ("dictionary_similarities", "other"),
    ("feature_matches", "other"),
    ("features", "matched_dictionary"),
    ("probes", "model"),
    ("ablated_features", "dictionary"),
    ("probe_differences", "less"),
    ("feature_dynamics", "dictionary"),
)
"""Columns that refer and that no key or index begins with."""
_PATHS: Final = ("language_models", "sparse_autoencoders", "activation_shards", "ingest_files")


def upgrade() -> None:
    """Apply."""
    standing = list(_standing())
    removed = Counter[str]()
    for one in standing:
        removed[one.table] += _remove_orphans(one)
    if told := ", ".join(f"{rows:,} of {table}" for table, rows in removed.items() if rows):
        logging.getLogger(__name__).warning(f"removed rows of what is not there any more: {told}")
    # Parents first: SQLite makes a table anew, and nothing may refer to the old one by then.
    for table in dict.fromkeys(one.table for one in standing):
        with op.batch_alter_table(table) as batch:
            for one in standing:
                if one.table == table:
                    batch.create_foreign_key(
                        one.name, one.parent, [*one.columns], [*one.parents], ondelete=one.ondelete, **DEFERRED
                    )
    for table, column in _INDEXES:
        if column in _columns(table):
            op.create_index(op.f(f"ix_{table}_{column}"), table, [column])
    _shorten_paths()


def downgrade() -> None:
    """Take back; paths stay as they are stored."""
    for table, column in _INDEXES:
        if column in _columns(table):
            op.drop_index(op.f(f"ix_{table}_{column}"), table_name=table)
    standing = list(_standing())
    for table in reversed(dict.fromkeys(one.table for one in standing)):
        with op.batch_alter_table(table) as batch:
            for one in standing:
                if one.table == table:
                    batch.drop_constraint(one.name, type_="foreignkey")


def _columns(table: str) -> set[str]:
    inspector = sa.inspect(op.get_bind())
    return {column["name"] for column in inspector.get_columns(table)} if inspector.has_table(table) else set()


def _standing() -> Iterator[_Reference]:
    """References whose columns are there on both sides."""
    for one in _REFERENCES:
        if _columns(one.table).issuperset(one.columns) and _columns(one.parent).issuperset(one.parents):
            yield one


def _remove_orphans(one: _Reference) -> int:
    """Remove the rows that refer to what is not there, or let them forget it; how many were removed."""
    child = sa.table(one.table, *map(sa.column, one.columns))
    parent = sa.table(one.parent, *map(sa.column, one.parents)).alias("parent")
    same = [child.c[name] == parent.c[other] for name, other in zip(one.columns, one.parents, strict=True)]
    refers = [child.c[name].is_not(None) for name in one.columns]
    orphan = sa.and_(*refers, ~sa.exists().where(*same).correlate(child))
    if one.ondelete == "CASCADE":
        return int(op.get_bind().execute(sa.delete(child).where(orphan)).rowcount)
    op.get_bind().execute(sa.update(child).where(orphan).values(dict.fromkeys(one.columns)))
    return 0


def _shorten_paths() -> None:
    """Store the paths of what lies in the home from there on."""
    if (home := home_of(op.get_bind().dialect)) is None:
        return
    root = f"{home}/"
    for name in _PATHS:
        path = sa.column("path", sa.Text())
        inside = sa.func.substr(path, 1, len(root)) == root
        shorter = sa.literal(IN_HOME) + sa.func.substr(path, len(root) + 1)
        op.get_bind().execute(sa.update(sa.table(name, path)).where(inside).values(path=shorter))
