"""The main database: what was seen, kept, learned and said, and the trail of all of it."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from medflow.domain.completeness import Verdict
from medflow.domain.model import Stage
from medflow.domain.series import FileState, Modality
from medflow.domain.task import FORMER_SELECT, Level, Part
from medflow.store.columns import Instant, ReasonCode

NAMES = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(constraint_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}
metadata = MetaData(naming_convention=NAMES)
REPEATABLE = "repeatable"
"""Marks (in `Table.info`) a table where inserting what is there already changes nothing, and is no error."""


Words = type[FileState | Level | Modality | Part | Stage | Verdict] | tuple[str, ...]


def one_of(column: str, values: Words) -> CheckConstraint:
    """Let a column hold one of a few words."""
    words = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({words})", name=column)


RUN_STATES = ("open", "done", "failed")
SERIES_STATES = ("accepted", "withheld", "refused", "superseded", "erased")
ERASURE_STATES = ("requested", "done", "forgotten")
PARTS = (*Part, FORMER_SELECT)
FLAG_KINDS = ("merged", "erased", "excluded")
JOB_STATES = ("ready", "leased", "done", "refused", "dead", "cancelled")
COUNTS = (
    *(f"files_{what}" for what in ("seen", "accepted", "quarantined", "ignored")),
    *(f"members_{what}" for what in ("seen", "accepted", "quarantined", "ignored")),
    *(f"series_{what}" for what in ("accepted", "new", "refused", "withheld")),
)
"""What a run counts: each is a column of `run`."""

run = Table(
    "run",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("code", Text, ForeignKey("code_version.digest"), nullable=False),
    Column("state", Text, nullable=False),
    Column("opened", Instant, nullable=False),
    Column("closed", Instant),
    *(Column(name, BigInteger, nullable=False, server_default=text("0")) for name in COUNTS),
    one_of("state", RUN_STATES),
    CheckConstraint("(state = 'open') = (closed IS NULL)", name="closed"),
    CheckConstraint("files_seen = files_accepted + files_quarantined + files_ignored", name="files"),
    CheckConstraint("members_seen = members_accepted + members_quarantined + members_ignored", name="members"),
    CheckConstraint(" AND ".join(f"{name} >= 0" for name in COUNTS), name="counts"),
    Index(None, "opened"),
)

code_version = Table(
    "code_version",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("version", Text, nullable=False),
    Column("commit", Text, nullable=False),
    Column("packages", JSON, nullable=False),
    info={REPEATABLE: True},
)

file = Table(
    "file",
    metadata,
    Column("file_key", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", ReasonCode),
    Column("detail", Text, nullable=False),
    Column("series_id", Text, ForeignKey("series.id")),
    Column("first_run", Text, ForeignKey("run.id"), nullable=False),
    Column("last_run", Text, ForeignKey("run.id"), nullable=False),
    one_of("state", FileState),
    CheckConstraint("(state = 'accepted') = (reason IS NULL)", name="reason"),
    Index(None, "state", "reason"),
    Index(None, "series_id"),
)

series = Table(
    "series",
    metadata,
    Column("id", Text, primary_key=True),
    Column("patient", Text),
    Column("barred", Boolean, nullable=False),
    Column("study", Text),
    Column("uid", Text, nullable=False),
    Column("modality", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", ReasonCode),
    Column("detail", Text, nullable=False),
    Column("source_digest", Text, nullable=False),
    Column("profile_digest", Text, nullable=False),
    Column("series_digest", Text),
    Column("record_digest", Text),
    Column("folder", Text),
    Column("source", Text, nullable=False),
    Column("site", Text),
    Column("scanner", Text),
    Column("sex", Text),
    Column("age", Integer),
    Column("body_part", Text),
    Column("head", Boolean),
    Column("description", Text),
    Column("slices", Integer, nullable=False),
    Column("layouts", Integer, nullable=False),
    Column("slice_thickness", Double),
    Column("revision", Integer, nullable=False),
    Column("superseded_by", Text, ForeignKey("series.id")),
    Column("run", Text, ForeignKey("run.id"), nullable=False),
    Column("at", Instant, nullable=False),
    Column("completeness", Text),
    Column("evidence", JSON(none_as_null=True)),
    UniqueConstraint("source_digest", "profile_digest", name="natural_key"),
    one_of("completeness", Verdict),
    one_of("modality", Modality),
    one_of("state", SERIES_STATES),
    CheckConstraint("(state IN ('withheld', 'refused', 'erased')) = (reason IS NOT NULL)", name="reason"),
    CheckConstraint("state != 'erased' OR (folder IS NULL AND record_digest IS NULL)", name="erased"),
    CheckConstraint(
        "state IN ('withheld', 'refused', 'erased') OR (patient IS NOT NULL AND study IS NOT NULL"
        " AND series_digest IS NOT NULL AND record_digest IS NOT NULL AND folder IS NOT NULL)",
        name="complete",
    ),
    Index(None, "state", "modality"),
    Index(None, "patient"),
    Index(
        "uq_series_one_accepted",
        "uid",
        "profile_digest",
        unique=True,
        sqlite_where=text("state = 'accepted'"),
        postgresql_where=text("state = 'accepted'"),
    ),
)

label = Table(
    "label",
    metadata,
    Column("id", Text, primary_key=True),
    Column("level", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("line", Integer),
    Column("run", Text, ForeignKey("run.id"), nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("level", "subject", "name", "source", "version", name="natural_key"),
    one_of("level", Level),
    Index(None, "name", "level"),
    info={REPEATABLE: True},
)

model = Table(
    "model",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("stage", Text, nullable=False),
    Column("task_digest", Text, nullable=False),
    Column("cohort_digest", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("code", Text, ForeignKey("code_version.digest"), nullable=False),
    Column("model_digest", Text, nullable=False),
    Column("grid_digest", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("task_digest", "cohort_digest", "seed", "code", name="natural_key"),
    UniqueConstraint("name", "version", name="version"),
    one_of("stage", Stage),
    Index(None, "model_digest"),
    Index(
        "uq_model_one_active",
        "name",
        unique=True,
        sqlite_where=text("stage = 'active'"),
        postgresql_where=text("stage = 'active'"),
    ),
)

example = Table(
    "example",
    metadata,
    Column("model_id", Text, ForeignKey("model.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("patient", Text, nullable=False),
    Column("series_id", Text, ForeignKey("series.id"), nullable=False),
    Column("subject", Text, nullable=False),
    Column("input_digest", Text, nullable=False),
    Column("layout_digest", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("part", Text, nullable=False),
    one_of("part", PARTS),
    Index(None, "series_id"),
)

cohort = Table(
    "cohort",
    metadata,
    Column("id", Text, primary_key=True),
    Column("cohort_digest", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("task_digest", Text, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("dealing", JSON, nullable=False),
    Column("left_out", JSON, nullable=False),
    Column("run", Text, ForeignKey("run.id"), nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("cohort_digest", name="natural_key"),
    info={REPEATABLE: True},
)

member = Table(
    "member",
    metadata,
    Column("cohort_id", Text, ForeignKey("cohort.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("patient", Text, nullable=False),
    Column("study", Text, nullable=False),
    Column("series_id", Text, ForeignKey("series.id"), nullable=False),
    Column("subject", Text, nullable=False),
    Column("input_digest", Text, nullable=False),
    Column("layout_digest", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("scanner", Text, nullable=False),
    Column("sex", Text),
    Column("age_band", Text),
    Column("slice_thickness", Double),
    one_of("part", Part),
    Index(None, "series_id"),
    Index(None, "patient"),
    info={REPEATABLE: True},
)

opening = Table(
    "opening",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model_id", Text, ForeignKey("model.id"), nullable=False),
    Column("test_digest", Text, nullable=False),
    Column("cohort_digest", Text, nullable=False),
    Column("patients", Integer, nullable=False),
    Column("run", Text, ForeignKey("run.id"), nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("model_id", "test_digest", name="natural_key"),
    Index(None, "test_digest"),
    info={REPEATABLE: True},
)

evaluation = Table(
    "evaluation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model_id", Text, ForeignKey("model.id"), nullable=False),
    Column("model_digest", Text, nullable=False),
    Column("cohort_digest", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("examples", Integer, nullable=False),
    Column("patients", Integer, nullable=False),
    Column("files", JSON, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("code", Text, ForeignKey("code_version.digest"), nullable=False),
    Column("run", Text, ForeignKey("run.id"), nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("model_id", "cohort_digest", "part", name="natural_key"),
    one_of("part", Part),
    info={REPEATABLE: True},
)

stage_change = Table(
    "stage_change",
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("model_id", Text, ForeignKey("model.id"), nullable=False),
    Column("former", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("undoes", Text),
    Column("run", Text, ForeignKey("run.id")),
    Column("at", Instant, nullable=False),
    one_of("stage", Stage),
    Index(None, "model_id"),
)

job = Table(
    "job",
    metadata,
    Column("id", Text, primary_key=True),
    Column("step", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("model_digest", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", ReasonCode),
    Column("attempts", Integer, nullable=False),
    Column("not_before", Instant),
    Column("owner", Text),
    Column("token", Text),
    Column("lease_until", Instant),
    Column("at", Instant, nullable=False),
    UniqueConstraint("step", "subject", "model_digest", "generation", name="natural_key"),
    one_of("state", JOB_STATES),
    CheckConstraint("(state = 'leased') = (token IS NOT NULL AND lease_until IS NOT NULL)", name="lease"),
    Index(None, "step", "model_digest", "state"),
)

prediction = Table(
    "prediction",
    metadata,
    Column("id", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("patient", Text, nullable=False),
    Column("series_id", Text, ForeignKey("series.id"), nullable=False),
    Column("series_digest", Text, nullable=False),
    Column("layout_digest", Text, nullable=False),
    Column("input_digest", Text, nullable=False),
    Column("model_id", Text, ForeignKey("model.id"), nullable=False),
    Column("model_digest", Text, nullable=False),
    Column("grid_digest", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("label", Text, nullable=False),
    Column("withheld", Text),
    Column("code", Text, ForeignKey("code_version.digest"), nullable=False),
    Column("device", Text, nullable=False),
    Column("capability", Text, nullable=False),
    Column("threads", Integer, nullable=False),
    Column("batch", Integer, nullable=False),
    Column("dtype", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("completeness", Text),
    Column("stage", Text),
    UniqueConstraint("subject", "input_digest", "model_digest", "grid_digest", "generation", name="natural_key"),
    Index(None, "series_id"),
    Index(None, "model_id"),
    Index(None, "at"),
    info={REPEATABLE: True},
)

probability = Table(
    "probability",
    metadata,
    Column("prediction_id", Text, ForeignKey("prediction.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("class", Text, key="name", nullable=False),
    Column("value", Double, nullable=False),
    CheckConstraint("value >= 0 AND value <= 1", name="value"),
)

selection = Table(
    "selection",
    metadata,
    Column("id", Text, primary_key=True),
    Column("task_digest", Text, nullable=False),
    Column("study", Text, nullable=False),
    Column("candidates_digest", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("chosen", Text, ForeignKey("series.id")),
    Column("reason", ReasonCode),
    Column("detail", Text, nullable=False),
    Column("candidates", Integer, nullable=False),
    Column("failures", JSON, nullable=False),
    Column("run", Text, ForeignKey("run.id"), nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("task_digest", "study", "candidates_digest", name="natural_key"),
    CheckConstraint("(chosen IS NULL) = (reason IS NOT NULL)", name="reason"),
    CheckConstraint("candidates > 0", name="candidates"),
    Index(None, "study"),
    Index(None, "chosen"),
    info={REPEATABLE: True},
)

exclusion = Table(
    "exclusion",
    metadata,
    Column("patient", Text, primary_key=True),
    Column("run", Text, ForeignKey("run.id"), nullable=False),
    Column("since", Instant, nullable=False),
    Column("lifted", Instant),
)

erasure = Table(
    "erasure",
    metadata,
    Column("id", Text, primary_key=True),
    Column("patient", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("counts", JSON, nullable=False),
    Column("run", Text, ForeignKey("run.id"), nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("patient", "run", "state", name="natural_key"),
    one_of("state", ERASURE_STATES),
    info={REPEATABLE: True},
)

flag = Table(
    "flag",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("patient", Text, nullable=False),
    Column("model_id", Text, ForeignKey("model.id"), nullable=False),
    Column("detail", JSON, nullable=False),
    Column("run", Text, ForeignKey("run.id"), nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("kind", "patient", "model_id", name="natural_key"),
    one_of("kind", FLAG_KINDS),
    Index(None, "model_id"),
    info={REPEATABLE: True},
)

export = Table(
    "export",
    metadata,
    Column("id", Text, primary_key=True),
    Column("patient", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("run", Text, ForeignKey("run.id"), nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("kind", "patient", "place", name="natural_key"),
    Index(None, "patient"),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("line", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("prev", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("code", Text, nullable=False),
    Index(None, "subject"),
    Index(None, "run"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
    Column("signature", Text, nullable=False),
    CheckConstraint("id = 1", name="single"),
)

APPEND_ONLY = (
    audit,
    code_version,
    cohort,
    erasure,
    evaluation,
    example,
    flag,
    label,
    member,
    opening,
    prediction,
    probability,
    selection,
    stage_change,
)
"""Tables whose rows are never changed or removed: triggers refuse it."""
