"""What this revision changes: a study has seeds, and a dictionary keeps the hash of its weights.

Rows of before are those of seed 0. What they called their seed was another one, and has a name of its own now.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_OWN: Final = {"sparse_autoencoders": "init_seed", "dictionary_metrics": "init_seed", "probes": "split_seed",
               "ablations": "draw"}  # fmt: skip
"""What the seed of a table's rows is called now."""
_INDEXED: Final = ("sparse_autoencoders", "probes")
_KEYS: Final = {
    "corpora": ("study", "shard"),
    "ablations": ("study", "condition", "draw"),
    "ablated_features": ("study", "dictionary", "feature"),
}
"""Primary keys of tables of which the study is one, without its seed."""
_WHOLE: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    for table, name in _OWN.items():
        op.execute(sa.text(f"ALTER TABLE {table} RENAME COLUMN seed TO {name}"))
    for table in (*_INDEXED, *_KEYS):
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("seed", _WHOLE, nullable=False, server_default="0"))
            if table in _KEYS:
                study, *others = _KEYS[table]
                batch.drop_constraint(f"pk_{table}", type_="primary")
                batch.create_primary_key(f"pk_{table}", [study, "seed", *others])
        with op.batch_alter_table(table) as batch:
            batch.alter_column("seed", server_default=None, existing_type=_WHOLE, existing_nullable=False)
    for table in _INDEXED:
        op.drop_index(f"ix_{table}_study", table)
        op.create_index(f"ix_{table}_study_seed", table, ["study", "seed"])
    op.add_column("sparse_autoencoders", sa.Column("weights_hash", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Take back; rows of other seeds than 0 go, since nothing tells them from the others any more."""
    op.drop_column("sparse_autoencoders", "weights_hash")
    for table in _INDEXED:
        op.drop_index(f"ix_{table}_study_seed", table)
        op.create_index(f"ix_{table}_study", table, ["study"])
    for table in (*_INDEXED, *_KEYS):
        op.execute(sa.text(f"DELETE FROM {table} WHERE seed <> 0"))
        with op.batch_alter_table(table) as batch:
            if table in _KEYS:
                batch.drop_constraint(f"pk_{table}", type_="primary")
                batch.create_primary_key(f"pk_{table}", list(_KEYS[table]))
            batch.drop_column("seed")
    for table, name in _OWN.items():
        op.execute(sa.text(f"ALTER TABLE {table} RENAME COLUMN {name} TO seed"))
