"""The first shape of the main database."""

import sqlalchemy as sa
from alembic import op

revision = "main_0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")

SQLITE_TRIGGERS = (
    "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'rows of audit are never changed or removed'); END",
    "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'rows of audit are never changed or removed'); END",
    "CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE (seq = NEW.seq)) BEGIN SELECT RAISE(ABORT, 'rows of audit are never changed or removed'); END",
    "CREATE TRIGGER code_version_no_update BEFORE UPDATE ON code_version BEGIN SELECT RAISE(ABORT, 'rows of code_version are never changed or removed'); END",
    "CREATE TRIGGER code_version_no_delete BEFORE DELETE ON code_version BEGIN SELECT RAISE(ABORT, 'rows of code_version are never changed or removed'); END",
    "CREATE TRIGGER code_version_no_replace BEFORE INSERT ON code_version WHEN EXISTS (SELECT 1 FROM code_version WHERE (digest = NEW.digest)) BEGIN SELECT RAISE(IGNORE); END",
    "CREATE TRIGGER example_no_update BEFORE UPDATE ON example BEGIN SELECT RAISE(ABORT, 'rows of example are never changed or removed'); END",
    "CREATE TRIGGER example_no_delete BEFORE DELETE ON example BEGIN SELECT RAISE(ABORT, 'rows of example are never changed or removed'); END",
    "CREATE TRIGGER example_no_replace BEFORE INSERT ON example WHEN EXISTS (SELECT 1 FROM example WHERE (model_id = NEW.model_id AND position = NEW.position)) BEGIN SELECT RAISE(ABORT, 'rows of example are never changed or removed'); END",
    "CREATE TRIGGER label_no_update BEFORE UPDATE ON label BEGIN SELECT RAISE(ABORT, 'rows of label are never changed or removed'); END",
    "CREATE TRIGGER label_no_delete BEFORE DELETE ON label BEGIN SELECT RAISE(ABORT, 'rows of label are never changed or removed'); END",
    "CREATE TRIGGER label_no_replace BEFORE INSERT ON label WHEN EXISTS (SELECT 1 FROM label WHERE (id = NEW.id) OR (level = NEW.level AND subject = NEW.subject AND name = NEW.name AND source = NEW.source AND version = NEW.version)) BEGIN SELECT RAISE(IGNORE); END",
    "CREATE TRIGGER prediction_no_update BEFORE UPDATE ON prediction BEGIN SELECT RAISE(ABORT, 'rows of prediction are never changed or removed'); END",
    "CREATE TRIGGER prediction_no_delete BEFORE DELETE ON prediction BEGIN SELECT RAISE(ABORT, 'rows of prediction are never changed or removed'); END",
    "CREATE TRIGGER prediction_no_replace BEFORE INSERT ON prediction WHEN EXISTS (SELECT 1 FROM prediction WHERE (id = NEW.id) OR (subject = NEW.subject AND input_digest = NEW.input_digest AND model_digest = NEW.model_digest AND grid_digest = NEW.grid_digest AND generation = NEW.generation)) BEGIN SELECT RAISE(IGNORE); END",
    "CREATE TRIGGER probability_no_update BEFORE UPDATE ON probability BEGIN SELECT RAISE(ABORT, 'rows of probability are never changed or removed'); END",
    "CREATE TRIGGER probability_no_delete BEFORE DELETE ON probability BEGIN SELECT RAISE(ABORT, 'rows of probability are never changed or removed'); END",
    "CREATE TRIGGER probability_no_replace BEFORE INSERT ON probability WHEN EXISTS (SELECT 1 FROM probability WHERE (prediction_id = NEW.prediction_id AND position = NEW.position)) BEGIN SELECT RAISE(ABORT, 'rows of probability are never changed or removed'); END",
)

POSTGRESQL_TRIGGERS = (
    """CREATE FUNCTION medflow_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$""",
    "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION medflow_append_only()",
    "ALTER TABLE audit ENABLE ALWAYS TRIGGER audit_append_only",
    "CREATE TRIGGER code_version_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON code_version FOR EACH STATEMENT EXECUTE FUNCTION medflow_append_only()",
    "ALTER TABLE code_version ENABLE ALWAYS TRIGGER code_version_append_only",
    "CREATE TRIGGER example_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON example FOR EACH STATEMENT EXECUTE FUNCTION medflow_append_only()",
    "ALTER TABLE example ENABLE ALWAYS TRIGGER example_append_only",
    "CREATE TRIGGER label_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON label FOR EACH STATEMENT EXECUTE FUNCTION medflow_append_only()",
    "ALTER TABLE label ENABLE ALWAYS TRIGGER label_append_only",
    "CREATE TRIGGER prediction_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON prediction FOR EACH STATEMENT EXECUTE FUNCTION medflow_append_only()",
    "ALTER TABLE prediction ENABLE ALWAYS TRIGGER prediction_append_only",
    "CREATE TRIGGER probability_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON probability FOR EACH STATEMENT EXECUTE FUNCTION medflow_append_only()",
    "ALTER TABLE probability ENABLE ALWAYS TRIGGER probability_append_only",
)


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("prev", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_run"), "audit", ["run"], unique=False)
    op.create_index(op.f("ix_audit_subject"), "audit", ["subject"], unique=False)
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_head_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.create_table(
        "code_version",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("commit", sa.Text(), nullable=False),
        sa.Column("packages", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_code_version")),
    )
    op.create_table(
        "job",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("model_digest", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", INSTANT, nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("lease_until", INSTANT, nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "(state = 'leased') = (token IS NOT NULL AND lease_until IS NOT NULL)", name=op.f("ck_job_lease")
        ),
        sa.CheckConstraint(
            "state IN ('ready', 'leased', 'done', 'refused', 'dead', 'cancelled')", name=op.f("ck_job_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("step", "subject", "model_digest", "generation", name=op.f("uq_job_natural_key")),
    )
    op.create_index(op.f("ix_job_step_model_digest_state"), "job", ["step", "model_digest", "state"], unique=False)
    op.create_table(
        "model",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("task_digest", sa.Text(), nullable=False),
        sa.Column("cohort_digest", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("model_digest", sa.Text(), nullable=False),
        sa.Column("grid_digest", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.CheckConstraint("stage IN ('candidate', 'shadow', 'active', 'retired')", name=op.f("ck_model_stage")),
        sa.ForeignKeyConstraint(["code"], ["code_version.digest"], name=op.f("fk_model_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_model_version")),
        sa.UniqueConstraint("task_digest", "cohort_digest", "seed", "code", name=op.f("uq_model_natural_key")),
    )
    op.create_index(op.f("ix_model_model_digest"), "model", ["model_digest"], unique=False)
    op.create_index(
        "uq_model_one_active",
        "model",
        ["name"],
        unique=True,
        sqlite_where=sa.text("stage = 'active'"),
        postgresql_where=sa.text("stage = 'active'"),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened", INSTANT, nullable=False),
        sa.Column("closed", INSTANT, nullable=True),
        sa.Column("files_seen", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("files_accepted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("files_quarantined", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("files_ignored", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("members_seen", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("members_accepted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("members_quarantined", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("members_ignored", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("series_accepted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("series_new", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("series_refused", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("series_withheld", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("(state = 'open') = (closed IS NULL)", name=op.f("ck_run_closed")),
        sa.CheckConstraint("state IN ('open', 'done', 'failed')", name=op.f("ck_run_state")),
        sa.CheckConstraint(
            "files_seen = files_accepted + files_quarantined + files_ignored", name=op.f("ck_run_files")
        ),
        sa.CheckConstraint(
            "files_seen >= 0 AND files_accepted >= 0 AND files_quarantined >= 0 AND files_ignored >= 0 AND members_seen >= 0 AND members_accepted >= 0 AND members_quarantined >= 0 AND members_ignored >= 0 AND series_accepted >= 0 AND series_new >= 0 AND series_refused >= 0 AND series_withheld >= 0",
            name=op.f("ck_run_counts"),
        ),
        sa.CheckConstraint(
            "members_seen = members_accepted + members_quarantined + members_ignored", name=op.f("ck_run_members")
        ),
        sa.ForeignKeyConstraint(["code"], ["code_version.digest"], name=op.f("fk_run_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    op.create_index(op.f("ix_run_opened"), "run", ["opened"], unique=False)
    op.create_table(
        "label",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=True),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.CheckConstraint("level IN ('patient', 'study', 'series')", name=op.f("ck_label_level")),
        sa.ForeignKeyConstraint(["run"], ["run.id"], name=op.f("fk_label_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label")),
        sa.UniqueConstraint("level", "subject", "name", "source", "version", name=op.f("uq_label_natural_key")),
    )
    op.create_index(op.f("ix_label_name_level"), "label", ["name", "level"], unique=False)
    op.create_table(
        "series",
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
        sa.CheckConstraint("(state IN ('withheld', 'refused')) = (reason IS NOT NULL)", name=op.f("ck_series_reason")),
        sa.CheckConstraint("modality IN ('CT', 'MR', 'PT')", name=op.f("ck_series_modality")),
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
    op.create_index(op.f("ix_series_patient"), "series", ["patient"], unique=False)
    op.create_index(op.f("ix_series_state_modality"), "series", ["state", "modality"], unique=False)
    op.create_index(
        "uq_series_one_accepted",
        "series",
        ["uid", "profile_digest"],
        unique=True,
        sqlite_where=sa.text("state = 'accepted'"),
        postgresql_where=sa.text("state = 'accepted'"),
    )
    op.create_table(
        "example",
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("series_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("input_digest", sa.Text(), nullable=False),
        sa.Column("layout_digest", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.CheckConstraint("part IN ('train', 'validation', 'test')", name=op.f("ck_example_part")),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name=op.f("fk_example_model_id")),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_example_series_id")),
        sa.PrimaryKeyConstraint("model_id", "position", name=op.f("pk_example")),
    )
    op.create_index(op.f("ix_example_series_id"), "example", ["series_id"], unique=False)
    op.create_table(
        "file",
        sa.Column("file_key", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("series_id", sa.Text(), nullable=True),
        sa.Column("first_run", sa.Text(), nullable=False),
        sa.Column("last_run", sa.Text(), nullable=False),
        sa.CheckConstraint("(state = 'accepted') = (reason IS NULL)", name=op.f("ck_file_reason")),
        sa.CheckConstraint("state IN ('accepted', 'quarantined', 'ignored')", name=op.f("ck_file_state")),
        sa.ForeignKeyConstraint(["first_run"], ["run.id"], name=op.f("fk_file_first_run")),
        sa.ForeignKeyConstraint(["last_run"], ["run.id"], name=op.f("fk_file_last_run")),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_file_series_id")),
        sa.PrimaryKeyConstraint("file_key", name=op.f("pk_file")),
    )
    op.create_index(op.f("ix_file_series_id"), "file", ["series_id"], unique=False)
    op.create_index(op.f("ix_file_state_reason"), "file", ["state", "reason"], unique=False)
    op.create_table(
        "prediction",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("series_id", sa.Text(), nullable=False),
        sa.Column("series_digest", sa.Text(), nullable=False),
        sa.Column("layout_digest", sa.Text(), nullable=False),
        sa.Column("input_digest", sa.Text(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("model_digest", sa.Text(), nullable=False),
        sa.Column("grid_digest", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("withheld", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("capability", sa.Text(), nullable=False),
        sa.Column("threads", sa.Integer(), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("dtype", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["code"], ["code_version.digest"], name=op.f("fk_prediction_code")),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name=op.f("fk_prediction_model_id")),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_prediction_series_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prediction")),
        sa.UniqueConstraint(
            "subject",
            "input_digest",
            "model_digest",
            "grid_digest",
            "generation",
            name=op.f("uq_prediction_natural_key"),
        ),
    )
    op.create_index(op.f("ix_prediction_at"), "prediction", ["at"], unique=False)
    op.create_index(op.f("ix_prediction_model_id"), "prediction", ["model_id"], unique=False)
    op.create_index(op.f("ix_prediction_series_id"), "prediction", ["series_id"], unique=False)
    op.create_table(
        "probability",
        sa.Column("prediction_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.CheckConstraint("value >= 0 AND value <= 1", name=op.f("ck_probability_value")),
        sa.ForeignKeyConstraint(["prediction_id"], ["prediction.id"], name=op.f("fk_probability_prediction_id")),
        sa.PrimaryKeyConstraint("prediction_id", "position", name=op.f("pk_probability")),
    )
    op.execute("INSERT INTO audit_head (id, seq, hash, signature) VALUES (1, 0, '" + "0" * 64 + "', '')")
    sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in SQLITE_TRIGGERS if sqlite else POSTGRESQL_TRIGGERS:
        op.execute(statement)
