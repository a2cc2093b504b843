"""People's rights: who opts out is passed over everywhere, and who is erased leaves marks and no data."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import BasicTextSRStorage

from medflow.domain.keep import Keep
from medflow.domain.model import Example
from medflow.domain.safe import DeidentifiedSeries, Pseudonym, StudyUID, input_digest
from medflow.domain.task import Task
from medflow.errors import ConfigurationError, Reason, StateError
from medflow.imaging.cache import VolumeCache
from medflow.steps import erase as erasing
from medflow.steps import predictions
from medflow.steps.candidates import look
from medflow.steps.erase import erase, finish_erasures
from medflow.steps.export import Wish, export_dicom, export_volumes
from medflow.steps.house import House
from medflow.steps.ingest import ingest
from medflow.steps.keys import new_epoch
from medflow.steps.models import flagged
from medflow.steps.purpose import stated
from medflow.steps.retention import retention
from medflow.steps.rights import exclude, lift, person_of
from medflow.steps.score import score
from medflow.store import erasures, exports, files, flags, jobs, models, runs
from medflow.store import series as series_rows
from medflow.store.audit import events, verify
from medflow.store.engine import reading, writing
from medflow.store.models import save_model
from medflow.store.predictions import save_prediction
from tests.steps.conftest import EXPORT
from tests.steps.exports import SLICES, write_series
from tests.store.made import CODE, a_model, a_prediction


def rows_of(house: House, patient: Pseudonym) -> tuple[series_rows.SeriesRow, ...]:
    with reading(house.engine) as connection:
        return series_rows.series_of(connection, [patient])


def audited(house: House, kind: str) -> list[dict[str, Any]]:
    with reading(house.engine) as connection:
        assert verify(connection, house.signer).faults == ()
        return events(connection, kind=kind)


def vault_places(house: House, files: list[Path]) -> list[str]:
    """Keys of those files whose place the vault knows."""
    keys = [house.pseudonyms.file_key("export", path.name) for path in files]
    found = []
    for key in keys:
        try:
            house.vault.path_of(key)
        except StateError:
            continue
        found.append(key)
    return found


def report_of(image: Path, path: Path) -> None:
    """Write a report on an image: an object of the same patient that is no image."""
    report = dcmread(image)
    report.SOPClassUID, report.Modality = BasicTextSRStorage, "SR"
    report.SOPInstanceUID += ".9"
    del report.PixelData
    report.save_as(path, enforce_file_format=True)


def test_a_person_is_meant_by_a_pseudonym_or_by_an_original_id(house: House) -> None:
    patient = house.pseudonyms.patient_of_id("PAT-1")
    assert patient is not None
    assert person_of(house, patient).patient == person_of(house, " PAT-1").patient == patient
    other = person_of(house, patient, issuer="CLINIC").patient  # what has an issuer is an ID, whatever it looks like
    assert other == house.pseudonyms.patient_of_id(patient, "CLINIC") != patient
    with pytest.raises(ConfigurationError, match="names nobody"):
        person_of(house, "UNKNOWN")


def test_nothing_of_an_excluded_patient_is_taken_in_and_every_file_is_accounted_for(
    any_house: House, tmp_path: Path
) -> None:
    house = any_house
    files = write_series(tmp_path / "export", patient="PAT-1")
    (tmp_path / "export" / "again.dcm").write_bytes(files[0].read_bytes())
    report_of(files[0], tmp_path / "export" / "report.dcm")
    write_series(tmp_path / "export" / "other", patient="PAT-2")
    person = person_of(house, "PAT-1")
    report = exclude(house, person)
    assert (report.changed, report.series, report.models) == (True, 0, ())
    assert not exclude(house, person).changed

    done = ingest(house, tmp_path / "export", source=EXPORT)

    assert (done.files.seen, done.files.accepted, done.files.ignored) == (2 * SLICES + 2, SLICES, SLICES + 2)
    assert done.reasons == {Reason.PATIENT_EXCLUDED: SLICES + 2}
    assert done.clean
    assert rows_of(house, person.patient) == ()
    assert len(list(house.safe.rglob("series.json"))) == 1
    assert house.vault.identities(patient=person.patient) == ()
    assert vault_places(house, [*files, *(tmp_path / "export" / f"{name}.dcm" for name in ("again", "report"))]) == []
    (event,) = audited(house, "patient-excluded")
    assert event["subject"] == person.patient
    assert "PAT-1" not in json.dumps(audited(house, "patient-excluded"))


def test_a_patient_whose_opt_out_is_lifted_is_taken_in_by_the_next_ingest(house: House, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    person = person_of(house, "PAT-1")
    exclude(house, person)
    ingest(house, tmp_path / "export", source=EXPORT)

    report = lift(house, person)
    done = ingest(house, tmp_path / "export", source=EXPORT)

    assert (report.excluded, report.changed, lift(house, person).changed) == (False, True, False)
    assert (done.series.new, done.reasons) == (1, {})
    assert [row.state for row in rows_of(house, person.patient)] == ["accepted"]
    assert len(audited(house, "patient-exclusion-lifted")) == 1


def test_an_opt_out_holds_for_every_pseudonym_of_the_person(house: House, tmp_path: Path) -> None:
    for number, name in enumerate(("PAT-1", "PAT-2")):
        write_series(tmp_path / "export" / str(number), patient=name)
    one, two = (house.pseudonyms.patient_of_id(name) for name in ("PAT-1", "PAT-2"))
    assert one is not None
    assert two is not None
    house.vault.put_alias(one, two)

    report = exclude(house, person_of(house, one))
    done = ingest(house, tmp_path / "export", source=EXPORT)

    assert (report.patient, report.pseudonyms) == (two, 2)
    assert (done.series.new, done.files.ignored) == (0, 2 * SLICES)


def test_somebody_never_seen_stays_excluded_in_the_next_epoch_of_the_key(
    house: House, open_again: Callable[[], House], tmp_path: Path
) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    exclude(house, person_of(house, "PAT-1"))
    new_epoch(house, stated("the yearly exchange"))

    again = open_again()
    assert again.pseudonyms.patient_of_id("PAT-1") != house.pseudonyms.patient_of_id("PAT-1")
    assert ingest(again, tmp_path / "export", source=EXPORT).reasons == {Reason.PATIENT_EXCLUDED: SLICES}


def test_an_excluded_patient_is_passed_over_by_scoring_and_cohorts(trained: House, ball_task: Task) -> None:
    people = [person_of(trained, f"PAT-{number:03d}") for number in range(11)]
    for person in people:
        report = exclude(trained, person)
        assert (report.series, [touched.model for touched in report.models]) == (1, ["ball:1"])

    looked = look(trained, ball_task)

    seen = {one.row.patient for study in looked.studies for one in study.candidates}
    assert len(seen) == 2
    assert not seen & {person.patient for person in people}
    assert score(trained).scored == 2
    with writing(trained.engine) as connection:  # as if the opt-out had come between the offer and the work
        row = series_rows.series_of(connection, [people[0].patient])[0]
        digest = models.models(connection)[0].model.model_digest
        jobs.offer(connection, step="score", subject=row.id, model_digest=digest, at=trained.now())
    assert score(trained).scored == 0
    lift(trained, people[0])
    assert score(trained).scored == 1


@pytest.fixture
def used(house: House, tmp_path: Path) -> House:
    """A house in which each of two patients left something everywhere: series, volumes, predictions, exports."""
    return lived_in(house, tmp_path)


@pytest.fixture
def used_anywhere(any_house: House, tmp_path: Path) -> House:
    """The same, on SQLite and on PostgreSQL."""
    return lived_in(any_house, tmp_path)


def lived_in(house: House, tmp_path: Path) -> House:
    """Take in two patients, and make of them what a house makes of patients."""
    for name in ("PAT-000", "PAT-001"):
        write_series(tmp_path / "export" / name[-3:], patient=name)
    ingest(house, tmp_path / "export", source=EXPORT)
    with writing(house.engine) as connection:
        models.save_code(connection, CODE)
        rows = series_rows.accepted_series(connection)
        made = [(row, next(files.records(house.safe / str(row.folder)))) for row in rows]
        examples = tuple(an_example(row, series) for row, series in made)
        save_model(connection, MODEL, examples)
        for row, series in made:
            prediction = replace(a_prediction(series, MODEL), input_digest=an_example(row, series).input_digest)
            save_prediction(connection, prediction)
            jobs.offer(connection, step="score", subject=row.id, at=house.now())
    for example in examples:
        VolumeCache(root=house.volumes).put(example.input_digest, MODEL.grid_digest, np.zeros((2, 2, 2), np.float32))
    export_volumes(house, tmp_path / "out", Wish(task=None))
    export_dicom(house, tmp_path / "theirs", Wish(task=None, recipient="study"))
    return house


MODEL = a_model("ball")


def an_example(row: series_rows.SeriesRow, series: DeidentifiedSeries) -> Example:
    layout = series.layouts[0].digest
    return Example(
        patient=series.patient,
        series_id=row.id,
        subject=series.uid,
        input_digest=input_digest(((series.series_digest, layout),)),
        layout_digest=layout,
        label="dull",
        part="train",
    )


def test_an_opt_out_flags_models_and_keeps_exports_from_the_patient(used: House, tmp_path: Path) -> None:
    person = person_of(used, "PAT-000")

    report = exclude(used, person)

    (touched,) = report.models
    assert (touched.model, touched.parts) == ("ball:1", {"train": 1})
    with reading(used.engine) as connection:
        (flag,) = flags.flags(connection)
        assert sorted(job.state for job in jobs.jobs(connection)) == ["cancelled", "ready"]
    assert (flag.kind, flag.patient, flag.model_id, flag.detail["examples"]) == (
        "excluded",
        person.patient,
        MODEL.id,
        1,
    )
    assert [event["subject"] for event in audited(used, "model-flagged")] == [MODEL.id]
    assert flagged(used) == {MODEL.id: {"excluded": 1}}
    assert export_volumes(used, tmp_path / "later", Wish(task=None)).written == 1
    assert not (tmp_path / "later" / person.patient).exists()
    assert left_of(used, person.patient, tmp_path)["stored"]  # what was taken in stays until it is erased


def left_of(house: House, patient: Pseudonym, out: Path) -> dict[str, int]:
    """Count what is here of a patient."""
    stored = [path for path in house.safe.rglob("*") if path.is_file() and patient.encode() in path.read_bytes()]
    with reading(house.engine) as connection:
        rows = series_rows.series_of(connection, [patient])
        inputs = {said.prediction.input_digest for said in predictions.listed(house, patient=patient)}
        remembered = len(exports.exports(connection, patients=[patient]))
    volumes = [path for path in house.volumes.glob("*.npy") if path.name.partition("-")[0] in inputs]
    return {
        "stored": len(stored),
        "volumes": len(volumes),
        "rows": sum(row.state != "erased" for row in rows),
        "identities": len(house.vault.places([patient])),
        "exported": len(list((out / "out" / patient).glob("*"))) if (out / "out" / patient).exists() else 0,
        "remembered": remembered,
    }


GONE = {"stored": 0, "volumes": 0, "rows": 0, "identities": 0, "exported": 0, "remembered": 0}


def test_an_erasure_leaves_nothing_of_the_patient_and_marks_what_was_made_of_it(
    used_anywhere: House, tmp_path: Path
) -> None:
    used = used_anywhere
    person = person_of(used, "PAT-000")
    before, theirs = left_of(used, person.patient, tmp_path), len(list((tmp_path / "theirs").rglob("*.dcm")))
    assert all(before.values())
    others = left_of(used, person_of(used, "PAT-001").patient, tmp_path)

    report = erase(used, person, purpose=stated("asked for by the person"))

    assert left_of(used, person.patient, tmp_path) == GONE
    assert left_of(used, person_of(used, "PAT-001").patient, tmp_path) == others
    assert len(list((tmp_path / "theirs").rglob("*.dcm"))) == theirs - SLICES
    assert report.counts() == {
        "series": 1,
        "predictions": 1,
        "copies": 1,
        "volumes": 1,
        "exports": 2,
        "exports_left": 0,
        "pictures": 0,
        "quarantined": 0,
        "identities": 1,
    }
    assert [touched.model for touched in report.models] == ["ball:1"]
    assert {said.record()["input_erased"] for said in predictions.listed(used, patient=person.patient)} == {True}
    assert sum(said.input_erased for said in predictions.listed(used)) == 1
    (row,) = rows_of(used, person.patient)
    assert (row.state, row.reason, row.sex, row.age) == ("erased", Reason.PATIENT_ERASED, None, None)
    with reading(used.engine) as connection:
        assert sorted(job.state for job in jobs.jobs(connection)) == ["cancelled", "ready"]
        assert {file.reason for file in runs.files(connection, series_id=row.id)} == {Reason.PATIENT_ERASED}
        assert [step.state for step in erasures.erasures(connection)] == ["requested", "done"]
    (asked,) = audited(used, "erase-requested")
    assert asked["detail"]["purpose"] == "asked for by the person"
    assert len(audited(used, "erase-done")) == 1


def test_an_erased_patient_does_not_come_back_with_the_same_export(used: House, tmp_path: Path) -> None:
    person = person_of(used, "PAT-000")
    erase(used, person)

    done = ingest(used, tmp_path / "export", source=EXPORT)

    assert (done.series.new, done.reasons) == (0, {Reason.PATIENT_EXCLUDED: SLICES})
    assert left_of(used, person.patient, tmp_path) == GONE
    assert vault_places(used, sorted((tmp_path / "export" / "000").iterdir())) == []
    again = erase(used, person)
    assert again.counts() == dict.fromkeys(again.counts(), 0) | {"predictions": 1}
    lift(used, person)
    assert ingest(used, tmp_path / "export", source=EXPORT).series.new == 1
    assert [row.state for row in rows_of(used, person.patient)] == ["accepted"]
    assert not any(said.input_erased for said in predictions.listed(used))


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", ["_files_removed", "_forgotten", "_marked", "_recorded"])
def test_an_erasure_that_is_killed_anywhere_is_completed_by_the_next(used: House, tmp_path: Path, step: str) -> None:
    person = person_of(used, "PAT-000")

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(erasing, step, killed)
        with pytest.raises(Killed):
            erase(used, person)
    with reading(used.engine) as connection:
        assert erasures.unfinished(connection) == (person.patient,)
    assert ingest(used, tmp_path / "export", source=EXPORT).series.new == 0  # even now nobody brings the patient back

    if step in {"_files_removed", "_marked"}:
        erase(used, person)
    else:
        assert retention(used, Keep()).erasures == 1

    assert left_of(used, person.patient, tmp_path) == GONE
    assert len(audited(used, "erase-done")) == 1
    assert finish_erasures(used) == ()


def test_what_an_ingest_brought_in_while_a_patient_was_erased_goes_with_the_night(
    used_anywhere: House, tmp_path: Path
) -> None:
    used = used_anywhere
    person = person_of(used, "PAT-000")
    (before,) = rows_of(used, person.patient)
    series = next(files.records(used.safe / str(before.folder)))
    shutil.copytree(series.folder, tmp_path / "copy")
    erase(used, person)
    shutil.copytree(tmp_path / "copy", series.folder)  # what the run of ingest had written when the erasure came
    with writing(used.engine) as connection:
        series_rows.save_series(connection, series, run_id=before.run, at=used.now())
    assert retention(used, Keep(), dry_run=True).erasures == 1

    assert retention(used, Keep()).erasures == 1

    assert left_of(used, person.patient, tmp_path) == GONE
    assert retention(used, Keep()).erasures == 0


def test_an_erasure_finds_copies_that_no_row_knows_and_leaves_those_of_others(used: House) -> None:
    person, other = person_of(used, "PAT-000"), person_of(used, "PAT-001")
    (own,), (theirs,) = rows_of(used, person.patient), rows_of(used, other.patient)
    folder = used.safe / str(own.folder)
    shutil.copytree(folder, folder.with_name("0123456789abcdef-orphaned"))
    with writing(used.engine) as connection:  # the same UID came with another patient's ID, too
        series = next(files.records(used.safe / str(theirs.folder)))
        twin = replace(series, study=StudyUID(str(own.study)), uid=own.uid, source_digest="f" * 64)
        series_rows.save_series(connection, twin, run_id=theirs.run, at=used.now())
    shutil.copytree(series.folder, used.safe / twin.relative_folder)

    erase(used, person)

    assert not folder.exists()
    assert [path.name for path in folder.parent.iterdir()] == [Path(twin.relative_folder).name]


def test_an_erasure_takes_the_encrypted_copies_of_quarantined_files_along(any_house: House, tmp_path: Path) -> None:
    house = replace(any_house, copies_kept=timedelta(days=14))
    paths = write_series(tmp_path / "export", patient="PAT-1")
    paths[0].write_bytes(paths[0].read_bytes()[:-100])
    ingest(house, tmp_path / "export", source=EXPORT)
    assert len(list(house.quarantine.iterdir())) == 1

    report = erase(house, person_of(house, "PAT-1"))

    assert report.quarantined == 1
    assert list(house.quarantine.iterdir()) == []


def test_a_purpose_that_names_the_person_is_refused_before_it_is_written(used: House) -> None:
    with pytest.raises(StateError, match="names the person"):
        erase(used, person_of(used, "PAT-000"), purpose=stated("asked for by Family PAT-000"))
    assert audited(used, "erase-requested") == []
    assert len(rows_of(used, person_of(used, "PAT-000").patient)) == 1
