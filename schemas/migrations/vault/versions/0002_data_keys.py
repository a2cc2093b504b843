"""A data key for each patient, merged and renamed pseudonyms, keys of quarantine copies.

Rows keep their version of the vault key: medflow seals them with their patient's data key when it first opens the
vault, because a migration holds no key.
"""

import sqlalchemy as sa
from alembic import op

revision = "vault_0002"
down_revision = "vault_0001"
branch_labels = None
depends_on = None

INSTANT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "data_key",
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("key_version", sa.Integer(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("patient", name=op.f("pk_data_key")),
    )
    for name in ("alias", "link"):
        op.create_table(
            name,
            sa.Column("old", sa.Text(), nullable=False),
            sa.Column("sealed", sa.LargeBinary(), nullable=False),
            sa.PrimaryKeyConstraint("old", name=op.f(f"pk_{name}")),
        )
    op.create_table(
        "quarantine_copy",
        sa.Column("file_key", sa.Text(), nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("expires", INSTANT, nullable=False),
        sa.Column("key_version", sa.Integer(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("file_key", name=op.f("pk_quarantine_copy")),
    )
    op.create_index(op.f("ix_quarantine_copy_patient"), "quarantine_copy", ["patient"], unique=False)
    op.create_index(op.f("ix_quarantine_copy_expires"), "quarantine_copy", ["expires"], unique=False)
    op.add_column("file", sa.Column("patient", sa.Text(), nullable=True))
    op.create_index(op.f("ix_file_patient"), "file", ["patient"], unique=False)
