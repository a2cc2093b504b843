"""Completeness of a series and of what was scored, the choice among the series of a study, planar modalities."""

import sqlalchemy as sa
from alembic import op

revision = "main_0002"
down_revision = "main_0001"
branch_labels = None
depends_on = None

INSTANT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")

MODALITY = "modality IN ('CT', 'MR', 'PT', 'CR', 'DX', 'MG', 'OP')"
COMPLETENESS = "completeness IN ('proven', 'quiet-only', 'contradicted')"

SQLITE_TRIGGERS = (
    "CREATE TRIGGER selection_no_update BEFORE UPDATE ON selection BEGIN SELECT RAISE(ABORT, 'rows of selection are never changed or removed'); END",
    "CREATE TRIGGER selection_no_delete BEFORE DELETE ON selection BEGIN SELECT RAISE(ABORT, 'rows of selection are never changed or removed'); END",
    "CREATE TRIGGER selection_no_replace BEFORE INSERT ON selection WHEN EXISTS (SELECT 1 FROM selection WHERE (id = NEW.id) OR (task_digest = NEW.task_digest AND study = NEW.study AND candidates_digest = NEW.candidates_digest)) BEGIN SELECT RAISE(IGNORE); END",
)

POSTGRESQL_TRIGGERS = (
    "CREATE TRIGGER selection_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON selection FOR EACH STATEMENT EXECUTE FUNCTION medflow_append_only()",
    "ALTER TABLE selection ENABLE ALWAYS TRIGGER selection_append_only",
)

SERIES = (
    "id, patient, barred, study, uid, modality, state, reason, detail, source_digest, profile_digest, series_digest,"
    " record_digest, folder, source, site, scanner, sex, age, body_part, head, description, slices, layouts,"
    " slice_thickness, revision, superseded_by, run, at"
)
"""Columns of `series` as main_0001 made them."""


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        copy_series()
    else:
        op.add_column("series", sa.Column("completeness", sa.Text(), nullable=True))
        op.add_column("series", sa.Column("evidence", sa.JSON(), nullable=True))
        op.drop_constraint(op.f("ck_series_modality"), "series", type_="check")
        op.create_check_constraint(op.f("ck_series_modality"), "series", MODALITY)
        op.create_check_constraint(op.f("ck_series_completeness"), "series", COMPLETENESS)
    op.add_column("prediction", sa.Column("completeness", sa.Text(), nullable=True))
    create_selection()


def copy_series() -> None:
    """Change a CHECK constraint the only way that SQLite has; whoever migrates has switched foreign keys off."""
    op.create_table(
        "series_0002",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("patient", sa.Text(), nullable=True),
        sa.Column("barred", sa.Boolean(), nullable=False),
        sa.Column("study", sa.Text(), nullable=True),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("modality", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("source_digest", sa.Text(), nullable=False),
        sa.Column("profile_digest", sa.Text(), nullable=False),
        sa.Column("series_digest", sa.Text(), nullable=True),
        sa.Column("record_digest", sa.Text(), nullable=True),
        sa.Column("folder", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=True),
        sa.Column("scanner", sa.Text(), nullable=True),
        sa.Column("sex", sa.Text(), nullable=True),
        sa.Column("age", sa.Integer(), nullable=True),
        sa.Column("body_part", sa.Text(), nullable=True),
        sa.Column("head", sa.Boolean(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("slices", sa.Integer(), nullable=False),
        sa.Column("layouts", sa.Integer(), nullable=False),
        sa.Column("slice_thickness", sa.Double(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("superseded_by", sa.Text(), nullable=True),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("completeness", sa.Text(), nullable=True),
        sa.Column("evidence", sa.JSON(), nullable=True),
        sa.CheckConstraint("(state IN ('withheld', 'refused')) = (reason IS NOT NULL)", name=op.f("ck_series_reason")),
        sa.CheckConstraint(COMPLETENESS, name=op.f("ck_series_completeness")),
        sa.CheckConstraint(MODALITY, name=op.f("ck_series_modality")),
        sa.CheckConstraint("state IN ('accepted', 'withheld', 'refused', 'superseded')", name=op.f("ck_series_state")),
        sa.CheckConstraint(
            "state IN ('withheld', 'refused') OR (patient IS NOT NULL AND study IS NOT NULL AND series_digest IS NOT NULL AND record_digest IS NOT NULL AND folder IS NOT NULL)",
            name=op.f("ck_series_complete"),
        ),
        sa.ForeignKeyConstraint(["run"], ["run.id"], name=op.f("fk_series_run")),
        sa.ForeignKeyConstraint(["superseded_by"], ["series.id"], name=op.f("fk_series_superseded_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sa.UniqueConstraint("source_digest", "profile_digest", name=op.f("uq_series_natural_key")),
    )
    op.execute(f"INSERT INTO series_0002 ({SERIES}) SELECT {SERIES} FROM series")
    op.drop_table("series")
    op.rename_table("series_0002", "series")
    op.create_index(op.f("ix_series_patient"), "series", ["patient"], unique=False)
    op.create_index(op.f("ix_series_state_modality"), "series", ["state", "modality"], unique=False)
    op.create_index(
        "uq_series_one_accepted",
        "series",
        ["uid", "profile_digest"],
        unique=True,
        sqlite_where=sa.text("state = 'accepted'"),
    )


def create_selection() -> None:
    op.create_table(
        "selection",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("task_digest", sa.Text(), nullable=False),
        sa.Column("study", sa.Text(), nullable=False),
        sa.Column("candidates_digest", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("chosen", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("candidates", sa.Integer(), nullable=False),
        sa.Column("failures", sa.JSON(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.CheckConstraint("(chosen IS NULL) = (reason IS NOT NULL)", name=op.f("ck_selection_reason")),
        sa.CheckConstraint("candidates > 0", name=op.f("ck_selection_candidates")),
        sa.ForeignKeyConstraint(["chosen"], ["series.id"], name=op.f("fk_selection_chosen")),
        sa.ForeignKeyConstraint(["run"], ["run.id"], name=op.f("fk_selection_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_selection")),
        sa.UniqueConstraint("task_digest", "study", "candidates_digest", name=op.f("uq_selection_natural_key")),
    )
    op.create_index(op.f("ix_selection_chosen"), "selection", ["chosen"], unique=False)
    op.create_index(op.f("ix_selection_study"), "selection", ["study"], unique=False)
    sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in SQLITE_TRIGGERS if sqlite else POSTGRESQL_TRIGGERS:
        op.execute(statement)
