"""Opt-outs, erasures, the flags that they leave on models, remembered exports, and the views of readers.

The views name `series`, `prediction`, `model` and others: a later migration that copies one of these (SQLite changes
no CHECK constraint in place) drops the views first and makes them again.
"""

import sqlalchemy as sa
from alembic import op

revision = "main_0003"
down_revision = "main_0002"
branch_labels = None
depends_on = None

INSTANT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")

REASON = "(state IN ('withheld', 'refused', 'erased')) = (reason IS NOT NULL)"
ERASED = "state != 'erased' OR (folder IS NULL AND record_digest IS NULL)"
STATE = "state IN ('accepted', 'withheld', 'refused', 'superseded', 'erased')"
MODALITY = "modality IN ('CT', 'MR', 'PT', 'CR', 'DX', 'MG', 'OP')"
COMPLETE = "state IN ('withheld', 'refused', 'erased') OR (patient IS NOT NULL AND study IS NOT NULL AND series_digest IS NOT NULL AND record_digest IS NOT NULL AND folder IS NOT NULL)"

SQLITE_TRIGGERS = (
    "CREATE TRIGGER erasure_no_update BEFORE UPDATE ON erasure BEGIN SELECT RAISE(ABORT, 'rows of erasure are never changed or removed'); END",
    "CREATE TRIGGER erasure_no_delete BEFORE DELETE ON erasure BEGIN SELECT RAISE(ABORT, 'rows of erasure are never changed or removed'); END",
    "CREATE TRIGGER erasure_no_replace BEFORE INSERT ON erasure WHEN EXISTS (SELECT 1 FROM erasure WHERE (id = NEW.id) OR (patient = NEW.patient AND run = NEW.run AND state = NEW.state)) BEGIN SELECT RAISE(IGNORE); END",
    "CREATE TRIGGER flag_no_update BEFORE UPDATE ON flag BEGIN SELECT RAISE(ABORT, 'rows of flag are never changed or removed'); END",
    "CREATE TRIGGER flag_no_delete BEFORE DELETE ON flag BEGIN SELECT RAISE(ABORT, 'rows of flag are never changed or removed'); END",
    "CREATE TRIGGER flag_no_replace BEFORE INSERT ON flag WHEN EXISTS (SELECT 1 FROM flag WHERE (id = NEW.id) OR (kind = NEW.kind AND patient = NEW.patient AND model_id = NEW.model_id)) BEGIN SELECT RAISE(IGNORE); END",
)

POSTGRESQL_TRIGGERS = (
    "CREATE TRIGGER erasure_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON erasure FOR EACH STATEMENT EXECUTE FUNCTION medflow_append_only()",
    "ALTER TABLE erasure ENABLE ALWAYS TRIGGER erasure_append_only",
    "CREATE TRIGGER flag_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON flag FOR EACH STATEMENT EXECUTE FUNCTION medflow_append_only()",
    "ALTER TABLE flag ENABLE ALWAYS TRIGGER flag_append_only",
)

VIEWS = (
    """CREATE VIEW reader_series AS
SELECT series.id, series.patient, series.barred, series.study, series.uid, series.modality, series.state,
    series.series_digest, series.profile_digest, series.site, series.scanner, series.sex, series.age,
    series.body_part, series.head, series.description, series.slices, series.layouts, series.slice_thickness,
    series.completeness
FROM series
WHERE series.state IN ('accepted', 'superseded') AND NOT EXISTS (SELECT 1 FROM exclusion WHERE exclusion.patient = series.patient AND exclusion.lifted IS NULL)
ORDER BY series.id""",
    """CREATE VIEW reader_prediction AS
SELECT prediction.id, prediction.subject, prediction.patient, prediction.series_id, prediction.series_digest,
    prediction.layout_digest, prediction.input_digest, prediction.model_id, prediction.model_digest,
    prediction.grid_digest, prediction.generation, prediction.label, prediction.withheld, prediction.completeness,
    series.state = 'erased' AS input_erased, probability.class, probability.value AS probability
FROM prediction
JOIN series ON series.id = prediction.series_id
JOIN probability ON probability.prediction_id = prediction.id
WHERE NOT EXISTS (SELECT 1 FROM exclusion WHERE exclusion.patient = prediction.patient AND exclusion.lifted IS NULL)
ORDER BY prediction.id, probability.position""",
    """CREATE VIEW reader_model AS
SELECT model.id, model.name, model.version, model.stage, model.task_digest, model.cohort_digest, model.seed,
    model.model_digest, model.grid_digest, model.metrics,
    (SELECT count(*) FROM flag WHERE flag.model_id = model.id) AS flags
FROM model
ORDER BY model.id""",
)

SERIES = (
    "id, patient, barred, study, uid, modality, state, reason, detail, source_digest, profile_digest, series_digest,"
    " record_digest, folder, source, site, scanner, sex, age, body_part, head, description, slices, layouts,"
    " slice_thickness, revision, superseded_by, run, at, completeness, evidence"
)
"""Columns of `series` as main_0002 left them."""


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    if sqlite:
        copy_series()
    else:
        for name, condition in (("state", STATE), ("reason", REASON), ("complete", COMPLETE), ("modality", MODALITY)):
            op.drop_constraint(op.f(f"ck_series_{name}"), "series", type_="check")
            op.create_check_constraint(op.f(f"ck_series_{name}"), "series", condition)
        op.create_check_constraint(op.f("ck_series_erased"), "series", ERASED)
    create_rights()
    create_export()
    for statement in (*(SQLITE_TRIGGERS if sqlite else POSTGRESQL_TRIGGERS), *VIEWS):
        op.execute(statement)


def copy_series() -> None:
    """Change CHECK constraints the only way that SQLite has; whoever migrates has switched foreign keys off."""
    op.create_table(
        "series_0003",
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
        sa.CheckConstraint(REASON, name=op.f("ck_series_reason")),
        sa.CheckConstraint(ERASED, name=op.f("ck_series_erased")),
        sa.CheckConstraint(STATE, name=op.f("ck_series_state")),
        sa.CheckConstraint(COMPLETE, name=op.f("ck_series_complete")),
        sa.CheckConstraint(
            "completeness IN ('proven', 'quiet-only', 'contradicted')", name=op.f("ck_series_completeness")
        ),
        sa.CheckConstraint(MODALITY, name=op.f("ck_series_modality")),
        sa.ForeignKeyConstraint(["run"], ["run.id"], name=op.f("fk_series_run")),
        sa.ForeignKeyConstraint(["superseded_by"], ["series.id"], name=op.f("fk_series_superseded_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sa.UniqueConstraint("source_digest", "profile_digest", name=op.f("uq_series_natural_key")),
    )
    op.execute(f"INSERT INTO series_0003 ({SERIES}) SELECT {SERIES} FROM series")
    op.drop_table("series")
    op.rename_table("series_0003", "series")
    op.create_index(op.f("ix_series_patient"), "series", ["patient"], unique=False)
    op.create_index(op.f("ix_series_state_modality"), "series", ["state", "modality"], unique=False)
    op.create_index(
        "uq_series_one_accepted",
        "series",
        ["uid", "profile_digest"],
        unique=True,
        sqlite_where=sa.text("state = 'accepted'"),
    )


def create_rights() -> None:
    op.create_table(
        "exclusion",
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("lifted", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["run"], ["run.id"], name=op.f("fk_exclusion_run")),
        sa.PrimaryKeyConstraint("patient", name=op.f("pk_exclusion")),
    )
    op.create_table(
        "erasure",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.CheckConstraint("state IN ('requested', 'done', 'forgotten')", name=op.f("ck_erasure_state")),
        sa.ForeignKeyConstraint(["run"], ["run.id"], name=op.f("fk_erasure_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure")),
        sa.UniqueConstraint("patient", "run", "state", name=op.f("uq_erasure_natural_key")),
    )
    op.create_table(
        "flag",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.CheckConstraint("kind IN ('merged', 'erased', 'excluded')", name=op.f("ck_flag_kind")),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name=op.f("fk_flag_model_id")),
        sa.ForeignKeyConstraint(["run"], ["run.id"], name=op.f("fk_flag_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flag")),
        sa.UniqueConstraint("kind", "patient", "model_id", name=op.f("uq_flag_natural_key")),
    )
    op.create_index(op.f("ix_flag_model_id"), "flag", ["model_id"], unique=False)


def create_export() -> None:
    op.create_table(
        "export",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["run"], ["run.id"], name=op.f("fk_export_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_export")),
        sa.UniqueConstraint("kind", "patient", "place", name=op.f("uq_export_natural_key")),
    )
    op.create_index(op.f("ix_export_patient"), "export", ["patient"], unique=False)
