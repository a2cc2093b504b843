"""Frozen cohorts, openings of test parts, evaluations, changes of stage, and the four parts of a split."""

import sqlalchemy as sa
from alembic import op

revision = "main_0004"
down_revision = "main_0003"
branch_labels = None
depends_on = None

INSTANT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")

PART = "part IN ('train', 'select', 'calibrate', 'test', 'validation')"
EXAMPLE = "model_id, position, patient, series_id, subject, input_digest, layout_digest, label, part"
"""Columns of `example` as main_0001 made them."""

SQLITE_TRIGGERS = (
    "CREATE TRIGGER example_no_update BEFORE UPDATE ON example BEGIN SELECT RAISE(ABORT, 'rows of example are never changed or removed'); END",
    "CREATE TRIGGER example_no_delete BEFORE DELETE ON example BEGIN SELECT RAISE(ABORT, 'rows of example are never changed or removed'); END",
    "CREATE TRIGGER example_no_replace BEFORE INSERT ON example WHEN EXISTS (SELECT 1 FROM example WHERE (model_id = NEW.model_id AND position = NEW.position)) BEGIN SELECT RAISE(ABORT, 'rows of example are never changed or removed'); END",
    "CREATE TRIGGER cohort_no_update BEFORE UPDATE ON cohort BEGIN SELECT RAISE(ABORT, 'rows of cohort are never changed or removed'); END",
    "CREATE TRIGGER cohort_no_delete BEFORE DELETE ON cohort BEGIN SELECT RAISE(ABORT, 'rows of cohort are never changed or removed'); END",
    "CREATE TRIGGER cohort_no_replace BEFORE INSERT ON cohort WHEN EXISTS (SELECT 1 FROM cohort WHERE (id = NEW.id) OR (cohort_digest = NEW.cohort_digest)) BEGIN SELECT RAISE(IGNORE); END",
    "CREATE TRIGGER member_no_update BEFORE UPDATE ON member BEGIN SELECT RAISE(ABORT, 'rows of member are never changed or removed'); END",
    "CREATE TRIGGER member_no_delete BEFORE DELETE ON member BEGIN SELECT RAISE(ABORT, 'rows of member are never changed or removed'); END",
    "CREATE TRIGGER member_no_replace BEFORE INSERT ON member WHEN EXISTS (SELECT 1 FROM member WHERE (cohort_id = NEW.cohort_id AND position = NEW.position)) BEGIN SELECT RAISE(IGNORE); END",
    "CREATE TRIGGER opening_no_update BEFORE UPDATE ON opening BEGIN SELECT RAISE(ABORT, 'rows of opening are never changed or removed'); END",
    "CREATE TRIGGER opening_no_delete BEFORE DELETE ON opening BEGIN SELECT RAISE(ABORT, 'rows of opening are never changed or removed'); END",
    "CREATE TRIGGER opening_no_replace BEFORE INSERT ON opening WHEN EXISTS (SELECT 1 FROM opening WHERE (id = NEW.id) OR (model_id = NEW.model_id AND test_digest = NEW.test_digest)) BEGIN SELECT RAISE(IGNORE); END",
    "CREATE TRIGGER evaluation_no_update BEFORE UPDATE ON evaluation BEGIN SELECT RAISE(ABORT, 'rows of evaluation are never changed or removed'); END",
    "CREATE TRIGGER evaluation_no_delete BEFORE DELETE ON evaluation BEGIN SELECT RAISE(ABORT, 'rows of evaluation are never changed or removed'); END",
    "CREATE TRIGGER evaluation_no_replace BEFORE INSERT ON evaluation WHEN EXISTS (SELECT 1 FROM evaluation WHERE (id = NEW.id) OR (model_id = NEW.model_id AND cohort_digest = NEW.cohort_digest AND part = NEW.part)) BEGIN SELECT RAISE(IGNORE); END",
    "CREATE TRIGGER stage_change_no_update BEFORE UPDATE ON stage_change BEGIN SELECT RAISE(ABORT, 'rows of stage_change are never changed or removed'); END",
    "CREATE TRIGGER stage_change_no_delete BEFORE DELETE ON stage_change BEGIN SELECT RAISE(ABORT, 'rows of stage_change are never changed or removed'); END",
    "CREATE TRIGGER stage_change_no_replace BEFORE INSERT ON stage_change WHEN EXISTS (SELECT 1 FROM stage_change WHERE (name = NEW.name AND number = NEW.number)) BEGIN SELECT RAISE(ABORT, 'rows of stage_change are never changed or removed'); END",
)

POSTGRESQL_TRIGGERS = (
    "CREATE TRIGGER cohort_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON cohort FOR EACH STATEMENT EXECUTE FUNCTION medflow_append_only()",
    "ALTER TABLE cohort ENABLE ALWAYS TRIGGER cohort_append_only",
    "CREATE TRIGGER member_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON member FOR EACH STATEMENT EXECUTE FUNCTION medflow_append_only()",
    "ALTER TABLE member ENABLE ALWAYS TRIGGER member_append_only",
    "CREATE TRIGGER opening_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON opening FOR EACH STATEMENT EXECUTE FUNCTION medflow_append_only()",
    "ALTER TABLE opening ENABLE ALWAYS TRIGGER opening_append_only",
    "CREATE TRIGGER evaluation_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON evaluation FOR EACH STATEMENT EXECUTE FUNCTION medflow_append_only()",
    "ALTER TABLE evaluation ENABLE ALWAYS TRIGGER evaluation_append_only",
    "CREATE TRIGGER stage_change_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON stage_change FOR EACH STATEMENT EXECUTE FUNCTION medflow_append_only()",
    "ALTER TABLE stage_change ENABLE ALWAYS TRIGGER stage_change_append_only",
)

READER_PREDICTION = """VIEW reader_prediction AS
SELECT prediction.id, prediction.subject, prediction.patient, prediction.series_id, prediction.series_digest,
    prediction.layout_digest, prediction.input_digest, prediction.model_id, prediction.model_digest,
    prediction.grid_digest, prediction.generation, prediction.label, prediction.withheld, prediction.completeness,
    series.state = 'erased' AS input_erased, probability.class, probability.value AS probability,
    prediction.stage
FROM prediction
JOIN series ON series.id = prediction.series_id
JOIN probability ON probability.prediction_id = prediction.id
WHERE NOT EXISTS (SELECT 1 FROM exclusion WHERE exclusion.patient = prediction.patient AND exclusion.lifted IS NULL)
ORDER BY prediction.id, probability.position"""

STOOD = """INSERT INTO stage_change (name, number, model_id, former, stage, reason, at)
SELECT name, version, id, 'candidate', stage, 'where it stood when changes of stage began to be kept', at
FROM model WHERE stage != 'candidate'"""
"""Since when each had its stage is in the audit trail alone; the row takes the day on which the model was made."""


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    if sqlite:
        copy_example()
    else:
        op.drop_constraint(op.f("ck_example_part"), "example", type_="check")
        op.create_check_constraint(op.f("ck_example_part"), "example", PART)
    op.add_column("prediction", sa.Column("stage", sa.Text(), nullable=True))
    if sqlite:
        op.execute("DROP VIEW reader_prediction")
    # replaced and not dropped on PostgreSQL: what a role was granted stays
    op.execute(f"CREATE {'' if sqlite else 'OR REPLACE '}{READER_PREDICTION}")
    create_cohort()
    create_evaluation()
    create_stage_change()
    op.execute(STOOD)
    for statement in SQLITE_TRIGGERS if sqlite else POSTGRESQL_TRIGGERS:
        op.execute(statement)


def copy_example() -> None:
    """Change a CHECK constraint the only way that SQLite has; whoever migrates has switched foreign keys off."""
    op.create_table(
        "example_0004",
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("series_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("input_digest", sa.Text(), nullable=False),
        sa.Column("layout_digest", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.CheckConstraint("part IN ('train', 'select', 'calibrate', 'test', 'validation')", name=op.f("ck_example_part")),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name=op.f("fk_example_model_id")),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_example_series_id")),
        sa.PrimaryKeyConstraint("model_id", "position", name=op.f("pk_example")),
    )
    op.execute(f"INSERT INTO example_0004 ({EXAMPLE}) SELECT {EXAMPLE} FROM example")
    op.drop_table("example")
    op.rename_table("example_0004", "example")
    op.create_index(op.f("ix_example_series_id"), "example", ["series_id"], unique=False)


def create_cohort() -> None:
    op.create_table(
        "cohort",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("cohort_digest", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("task_digest", sa.Text(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("dealing", sa.JSON(), nullable=False),
        sa.Column("left_out", sa.JSON(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["run"], ["run.id"], name=op.f("fk_cohort_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cohort")),
        sa.UniqueConstraint("cohort_digest", name=op.f("uq_cohort_natural_key")),
    )
    op.create_table(
        "member",
        sa.Column("cohort_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("study", sa.Text(), nullable=False),
        sa.Column("series_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("input_digest", sa.Text(), nullable=False),
        sa.Column("layout_digest", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("scanner", sa.Text(), nullable=False),
        sa.Column("sex", sa.Text(), nullable=True),
        sa.Column("age_band", sa.Text(), nullable=True),
        sa.Column("slice_thickness", sa.Double(), nullable=True),
        sa.CheckConstraint("part IN ('train', 'select', 'calibrate', 'test')", name=op.f("ck_member_part")),
        sa.ForeignKeyConstraint(["cohort_id"], ["cohort.id"], name=op.f("fk_member_cohort_id")),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_member_series_id")),
        sa.PrimaryKeyConstraint("cohort_id", "position", name=op.f("pk_member")),
    )
    op.create_index(op.f("ix_member_patient"), "member", ["patient"], unique=False)
    op.create_index(op.f("ix_member_series_id"), "member", ["series_id"], unique=False)


def create_evaluation() -> None:
    op.create_table(
        "opening",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("test_digest", sa.Text(), nullable=False),
        sa.Column("cohort_digest", sa.Text(), nullable=False),
        sa.Column("patients", sa.Integer(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name=op.f("fk_opening_model_id")),
        sa.ForeignKeyConstraint(["run"], ["run.id"], name=op.f("fk_opening_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_opening")),
        sa.UniqueConstraint("model_id", "test_digest", name=op.f("uq_opening_natural_key")),
    )
    op.create_index(op.f("ix_opening_test_digest"), "opening", ["test_digest"], unique=False)
    op.create_table(
        "evaluation",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("model_digest", sa.Text(), nullable=False),
        sa.Column("cohort_digest", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("examples", sa.Integer(), nullable=False),
        sa.Column("patients", sa.Integer(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.CheckConstraint("part IN ('train', 'select', 'calibrate', 'test')", name=op.f("ck_evaluation_part")),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name=op.f("fk_evaluation_model_id")),
        sa.ForeignKeyConstraint(["code"], ["code_version.digest"], name=op.f("fk_evaluation_code")),
        sa.ForeignKeyConstraint(["run"], ["run.id"], name=op.f("fk_evaluation_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation")),
        sa.UniqueConstraint("model_id", "cohort_digest", "part", name=op.f("uq_evaluation_natural_key")),
    )


def create_stage_change() -> None:
    op.create_table(
        "stage_change",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("former", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("undoes", sa.Text(), nullable=True),
        sa.Column("run", sa.Text(), nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.CheckConstraint("stage IN ('candidate', 'shadow', 'active', 'retired')", name=op.f("ck_stage_change_stage")),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name=op.f("fk_stage_change_model_id")),
        sa.ForeignKeyConstraint(["run"], ["run.id"], name=op.f("fk_stage_change_run")),
        sa.PrimaryKeyConstraint("name", "number", name=op.f("pk_stage_change")),
    )
    op.create_index(op.f("ix_stage_change_model_id"), "stage_change", ["model_id"], unique=False)
