"""Small true things to put into a database."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

from medflow.domain.audit import AuditEvent
from medflow.domain.cohort import FrozenCohort, Member
from medflow.domain.evaluation import Evaluation, Opening, test_digest
from medflow.domain.layout import IntensityFacts, Layout, Place
from medflow.domain.model import Model
from medflow.domain.prediction import CodeVersion, Prediction, Runtime
from medflow.domain.safe import (
    DeidentifiedSeries,
    Descriptors,
    Identity,
    Pseudonym,
    SeriesUID,
    StoredFile,
    StudyUID,
)
from medflow.domain.selection import Selection
from medflow.domain.series import Modality
from medflow.errors import Reason
from medflow.store.audit import Signer
from medflow.store.engine import MODE, connected
from medflow.store.models import save_code, save_model
from medflow.store.runs import open_run
from medflow.store.series import save_series

NOON = datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=UTC)
CODE = CodeVersion(version="0.1.0", commit="abc.dirty", packages=(("numpy", "2.0"), ("torch", "2.13")))
SIGNER = Signer(bytes(range(32)))
RUN = "run_1"


def hexed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def a_series(name: str = "a", *, uid: str = "2.25.7", folder: Path = Path()) -> DeidentifiedSeries:
    """A CT series of two slices, whose files hold their own names."""
    places = tuple(Place(file=k, frame=0, corner=(0, 0), slope=1.0, intercept=-1024.0) for k in range(2))
    affine = ((-0.7, 0.0, 0.0, 90.0), (0.0, -0.7, 0.0, 80.5), (0.0, 0.0, 2.5, -0.1), (0.0, 0.0, 0.0, 1.0))
    layout = Layout(
        rows=4,
        columns=3,
        affine=affine,
        places=places,
        labels=(("EchoTime", 0.1),),
        run=(1, 1),
        residual=1e-9,
        sheared=False,
    )
    names = ("IM000001.dcm", "IM000002.dcm")
    return DeidentifiedSeries(
        patient=Pseudonym("PABCDEFGHIJKLMNOP"),
        barred=False,
        study=StudyUID("2.25.3"),
        uid=SeriesUID(uid),
        modality=Modality.CT,
        layouts=(layout,),
        facts=IntensityFacts(photometric="MONOCHROME2", rescale_type="HU", rescaled=True, padding=(-2000, -2000)),
        descriptors=Descriptors(
            sex="F",
            age=90,
            body_part="CHEST",
            head=False,
            description="AXIAL LUNG",
            image_type=("ORIGINAL", "PRIMARY"),
            site="north",
            scanner="ACME X1 ABCDEFGH",
            slice_thickness=0.1 + 0.2,
            contrast=True,
        ),
        files=tuple(StoredFile(name=file, sha256=hexed(file)) for file in names),
        series_digest=hexed(f"series {name}"),
        source_digest=hexed(f"source {name}"),
        profile_digest=hexed("profile"),
        folder=folder,
    )


def write_out(series: DeidentifiedSeries, root: Path) -> None:
    """Put the files of `a_series` where the safe store would have them."""
    folder = root / series.relative_folder
    folder.mkdir(parents=True)
    for file in series.files:
        (folder / file.name).write_text(file.name)
    (folder / "series.json").write_text(series.written())


def a_model(name: str = "nodule", *, version: int = 1, seed: int = 1) -> Model:
    return Model(
        name=name,
        version=version,
        task_digest=hexed("task"),
        cohort_digest=hexed("cohort"),
        seed=seed,
        code=CODE.digest,
        model_digest=hexed(f"model {name} {seed}"),
        grid_digest=hexed("grid"),
        folder=f"{name}/{version}",
        metrics={"test": {"auc": {"value": 0.1 + 0.2, "n": 12, "low": 5e-324, "high": 1.0}}},
        at=NOON,
    )


def a_prediction(
    series: DeidentifiedSeries, model: Model, *, probabilities: tuple[float, ...] = (0.25, 0.75), generation: int = 0
) -> Prediction:
    return Prediction(
        subject=series.uid,
        patient=series.patient,
        series_id=series.id,
        series_digest=series.series_digest,
        layout_digest=series.layouts[0].digest,
        input_digest=hexed("input"),
        model_id=model.id,
        model_digest=model.model_digest,
        grid_digest=model.grid_digest,
        generation=generation,
        classes=tuple(f"class {number}" for number in range(len(probabilities))),
        probabilities=probabilities,
        label=f"class {probabilities.index(max(probabilities))}",
        withheld=None,
        code=CODE.digest,
        runtime=Runtime(device="cpu", capability="AVX512", threads=2, batch=1, dtype="float32"),
        at=NOON + timedelta(seconds=generation),
        completeness="quiet-only",
    )


def a_member(series: DeidentifiedSeries, *, part: str = "test") -> Member:
    return Member(
        patient=series.patient,
        study=series.study,
        series_id=series.id,
        subject=series.uid,
        input_digest=hexed("input"),
        layout_digest=series.layouts[0].digest,
        label="yes",
        part=part,
        site="north",
        scanner="S",
        sex=None,
        age_band="40-59",
        slice_thickness=0.1 + 0.2,
    )


def a_cohort(*members: Member) -> FrozenCohort:
    return FrozenCohort(
        task="nodule",
        task_digest=hexed("task"),
        labels={"name": "nodule"},
        dealing={"seed": 1},
        left_out={"unlabelled": 2},
        members=members,
        at=NOON,
    )


def an_opening(model: Model, cohort: FrozenCohort) -> Opening:
    return Opening(
        model_id=model.id,
        test_digest=test_digest(tuple(member.example() for member in cohort.members)),
        cohort_digest=cohort.digest,
        patients=1,
        run=RUN,
        at=NOON,
    )


def an_evaluation(model: Model, cohort: FrozenCohort, *, part: str = "test") -> Evaluation:
    return Evaluation(
        model_id=model.id,
        model_digest=model.model_digest,
        cohort_digest=cohort.digest,
        part=part,
        examples=1,
        patients=1,
        files={"predictions.csv": hexed("predictions")},
        metrics={"accuracy": {"value": 1.0, "low": 5e-324}},
        code=CODE.digest,
        run=RUN,
        at=NOON,
    )


def a_selection(series: DeidentifiedSeries, *, chosen: bool = True) -> Selection:
    """A study of two series, of which a task took `series`, or neither."""
    return Selection(
        task_digest=hexed("task"),
        study=series.study,
        rule="most-slices",
        failures={series.id: () if chosen else ("derived",), "ser_other": ("kernels", "contrast")},
        chosen=(series.id,) if chosen else (),
        reason=None if chosen else Reason.NO_MATCHING_SERIES,
    )


def an_event(subject: str = "ser_1", kind: str = "series-accepted", **detail: object) -> AuditEvent:
    return AuditEvent(at=NOON, actor="tester", kind=kind, run=RUN, subject=subject, code=CODE.digest, detail=detail)


@contextmanager
def undone(engine: Engine) -> Iterator[Connection]:
    """One transaction of which nothing stays."""
    with connected(engine) as connection:
        connection.execution_options(**{MODE: "write"})
        with connection.begin() as transaction:
            yield connection
            transaction.rollback()


def a_run(connection: Connection, run_id: str = RUN) -> None:
    """Open a run, with the code that it names."""
    save_code(connection, CODE)
    open_run(connection, id=run_id, kind="ingest", source="export", at=NOON, actor="tester", code=CODE.digest)


def a_house(connection: Connection) -> tuple[DeidentifiedSeries, Model]:
    """A run, one accepted series and one model: what a prediction refers to."""
    a_run(connection)
    series, model = a_series(), a_model()
    save_series(connection, series, run_id=RUN, at=NOON)
    save_model(connection, model, ())
    return series, model


def an_identity(**changes: Any) -> Identity:  # noqa: ANN401  (fields of an Identity)
    """Whom `a_series` might belong to."""
    return replace(
        Identity(
            patient=Pseudonym("PABC"),
            study=StudyUID("2.25.3"),
            series=SeriesUID("2.25.7"),
            source_digest="d" * 64,
            modules={
                "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Zebra^Quagga"}]},
                "00101030": {"Value": [70.1]},
            },
            sop_instance_uids=("1.2.3.4", "1.2.3.5"),
            sop_class_uids=("1.2.840.10008.5.1.4.1.1.2",) * 2,
        ),
        **changes,
    )
