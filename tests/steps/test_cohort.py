"""Facts about frozen cohorts: nobody and nothing stands on two sides, and the same is built once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from medflow.deid.series import Source
from medflow.domain.cohort import Duplicates, FrozenCohort
from medflow.domain.task import LabelKind, Part, Task
from medflow.errors import BatchError, ConfigurationError
from medflow.imaging.cache import VolumeCache
from medflow.imaging.fingerprint import SUFFIX
from medflow.steps.audit import events
from medflow.steps.cohort import Dealing, build, checked_for, dealings, found, freeze, recalled
from medflow.steps.house import House
from medflow.steps.ingest import ingest
from medflow.steps.labels import import_labels
from medflow.steps.run import opened
from tests.steps.conftest import EXPORT
from tests.steps.exports import write_cohort, write_series

PATIENTS = 12
SOUTH = Source(name="other", site="south")


@pytest.fixture
def filled(house: House, tmp_path: Path) -> House:
    """A house of labelled patients, half of them bright."""
    table = write_cohort(tmp_path / "export", PATIENTS)
    ingest(house, tmp_path / "export", source=EXPORT)
    import_labels(house, table, source="reader", version="1")
    return house


def frozen(house: House, task: Task, dealing: Dealing | None = None) -> FrozenCohort:
    with opened(house, "cohort") as run:
        return freeze(run, task, dealing or Dealing())[0]


def copied(house: House, tmp_path: Path, change: Callable[[pydicom.Dataset], None], *, source: Source = EXPORT) -> str:
    """Take in the series of the first patient again, changed, as another patient's; give that one's pseudonym."""
    (tmp_path / "copy").mkdir()
    for path in (tmp_path / "export" / "000").iterdir():
        original = pydicom.dcmread(path)
        original.PatientID, original.PatientName = "PAT-800", "Family^PAT-800"
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
            setattr(original, keyword, f"{getattr(original, keyword)}.77")
        change(original)
        original.save_as(tmp_path / "copy" / path.name, enforce_file_format=True)
    ingest(house, tmp_path / "copy", source=source)
    labelled(house, tmp_path, "PatientID,ball\nPAT-800,dull\n")
    return pseudonym(house, "PAT-800")


def pseudonym(house: House, patient: str) -> str:
    found = house.pseudonyms.patient_of_id(patient)
    assert found is not None
    return found


def labelled(house: House, tmp_path: Path, text: str) -> None:
    table = tmp_path / "more.csv"
    table.write_text(text)
    assert import_labels(house, table, source="reader", version="1").complete


def unchanged(_: pydicom.Dataset) -> None:
    pass


def moved(original: pydicom.Dataset) -> None:
    x, y, z = original.ImagePositionPatient
    original.PixelSpacing, original.ImagePositionPatient = [3.5, 3.5], [x + 20, y - 7, z + 100]


def brighter(original: pydicom.Dataset) -> None:
    values = original.pixel_array.astype("int32") * 11 // 10 + 20
    original.PixelData = values.clip(-1024, 3000).astype("int16").tobytes()


def test_a_cohort_is_frozen_once_with_its_audit_event_and_found_again(filled: House, ball_task: Task) -> None:
    first, second = frozen(filled, ball_task), frozen(filled, ball_task)

    assert first == second == found(filled, first.id[:12])
    assert len(first.members) == PATIENTS
    assert {member.part for member in first.members} == {"train", "select", "test"}
    assert {(m.site, m.sex, m.age_band, m.slice_thickness) for m in first.members} == {("north", "F", "60-79", 4.0)}
    told = [e for e in events(filled, subject=None, run=None, limit=99) if e["kind"] == "cohort-frozen"]
    assert [event["subject"] for event in told] == [first.id]


def test_the_arrays_of_a_part_are_recalled_and_a_lost_copy_is_counted(filled: House, ball_task: Task) -> None:
    cohort = frozen(filled, ball_task)
    tested = [member for member in cohort.members if member.part == "test"]

    assert set(recalled(filled, ball_task, cohort, parts=[Part.TEST])) == {member.series_id for member in tested}
    for path in filled.safe.rglob("series.json"):
        path.unlink()
    with pytest.raises(BatchError, match=f"{len(tested)} of {len(tested)} series"):
        recalled(filled, ball_task, cohort, parts=[Part.TEST])


@pytest.mark.parametrize("change", [unchanged, moved, brighter], ids=lambda change: change.__name__)
def test_one_patients_images_under_another_patient_are_refused_by_name_whatever_the_header_says(
    filled: House, ball_task: Task, tmp_path: Path, change: Callable[[pydicom.Dataset], None]
) -> None:
    other = copied(filled, tmp_path, change)

    with pytest.raises(BatchError, match="identical images") as refusal:
        frozen(filled, ball_task)

    assert other in str(refusal.value)
    assert "PAT-800" not in str(refusal.value)
    assert ("nearly" in str(refusal.value)) == (change is brighter)


def test_linked_patients_are_dealt_as_one_for_a_reason_that_is_kept(
    filled: House, ball_task: Task, tmp_path: Path
) -> None:
    other, first = copied(filled, tmp_path, moved), pseudonym(filled, "PAT-000")

    cohort = None
    for seed in range(6):
        task = replace(ball_task, split=replace(ball_task.split, seed=seed))
        cohort = frozen(filled, task, Dealing(duplicates=Duplicates.TOGETHER, reason="same person"))
        parts = {member.patient: member.part for member in cohort.members}
        assert parts[other] == parts[first]
    assert cohort is not None
    assert (cohort.dealing["identical"], cohort.dealing["reason"]) == (1, "same person")


def test_accepted_are_near_duplicates_and_never_identical_images_on_two_sides(
    filled: House, ball_task: Task, tmp_path: Path
) -> None:
    accepted = Dealing(duplicates=Duplicates.ACCEPT, reason="looked at by hand")
    copied(filled, tmp_path, brighter)
    assert len(frozen(filled, ball_task, accepted).members) == PATIENTS + 1

    table = tmp_path / "split.csv"
    sides = {"PAT-000": "train", "PAT-800": "test", "PAT-001": "train", "PAT-002": "select", "PAT-003": "select"}
    table.write_text("PatientID,part\n" + "".join(f"{name},{part}\n" for name, part in sides.items()))
    by_file = replace(accepted, split_file=table)
    assert len(frozen(filled, ball_task, by_file).members) == len(sides)


def test_identical_images_on_two_sides_are_refused_even_where_duplicates_are_accepted(
    filled: House, ball_task: Task, tmp_path: Path
) -> None:
    copied(filled, tmp_path, moved)
    table = tmp_path / "split.csv"
    table.write_text("PatientID,part\nPAT-000,train\nPAT-800,test\nPAT-001,train\nPAT-002,select\nPAT-003,select\n")

    with pytest.raises(BatchError, match="two sides"):
        frozen(filled, ball_task, Dealing(split_file=table, duplicates=Duplicates.ACCEPT, reason="why"))


def test_duplicates_stay_for_a_reason_alone() -> None:
    for duplicates in (Duplicates.TOGETHER, Duplicates.ACCEPT):
        with pytest.raises(ConfigurationError, match="--reason"):
            Dealing(duplicates=duplicates, reason="  ")


def test_over_the_folds_every_patient_is_tested_once(filled: House, ball_task: Task) -> None:
    with opened(filled, "cohort") as run:
        built = build(run, ball_task, dealings(filled, ball_task, folds=3, sites=False))

    tested = [member.patient for one in built for member in one.cohort.members if member.part == "test"]
    assert len(tested) == len(set(tested)) == PATIENTS
    assert all(len(one.cohort.members) == PATIENTS for one in built)


def test_a_site_that_is_left_out_is_the_test_part_and_its_patients_are_nowhere_else(
    filled: House, ball_task: Task, tmp_path: Path
) -> None:
    for number in range(20, 26):
        write_series(tmp_path / "south" / str(number), patient=f"PAT-{number:03d}", bright=bool(number % 2))
    write_series(tmp_path / "south" / "000", patient="PAT-000", number=2)
    ingest(filled, tmp_path / "south", source=SOUTH)
    text = "".join(f"PAT-{n:03d},{'bright' if n % 2 else 'dull'}\n" for n in range(20, 26))
    labelled(filled, tmp_path, f"PatientID,ball\n{text}")

    wanted = dealings(filled, ball_task, folds=None, sites=True, duplicates=Duplicates.TOGETHER, reason="two scans")
    with opened(filled, "cohort") as run:
        built = {one.cohort.dealing["site"]: one.cohort for one in build(run, ball_task, wanted)}

    assert sorted(built) == ["north", "south"]
    for site, cohort in built.items():
        assert {member.site for member in cohort.members if member.part == "test"} == {site}
        sides: dict[str, set[bool]] = {}
        for member in cohort.members:
            sides.setdefault(member.patient, set()).add(member.part == "test")
        assert all(len(side) == 1 for side in sides.values())
        assert cohort.left_out == {"elsewhere-of-a-tested-patient": 1}


def test_a_split_file_says_who_stands_where_and_who_is_not_listed_stays_out(
    filled: House, ball_task: Task, tmp_path: Path
) -> None:
    parts = ["train", "train", "validation", "val", "calibrate", "calibrate", "test", "test"]
    table = tmp_path / "split.csv"
    table.write_text("PatientID,part\n" + "".join(f"PAT-{n:03d},{part}\n" for n, part in enumerate(parts)))

    cohort = frozen(filled, ball_task, Dealing(split_file=table))

    counts = {part.value: sum(member.part == part for member in cohort.members) for part in Part}
    assert counts == {"train": 2, "select": 2, "calibrate": 2, "test": 2}
    assert cohort.left_out == {"not-in-split-file": PATIENTS - len(parts)}
    by_pseudonym = tmp_path / "again.csv"
    by_pseudonym.write_text("pseudonym;part\n" + "".join(f"{m.patient};{m.part}\n" for m in cohort.members))
    assert frozen(filled, ball_task, Dealing(split_file=by_pseudonym)).id == cohort.id


def test_a_split_file_that_puts_somebody_on_both_sides_is_refused_by_pseudonym(
    filled: House, ball_task: Task, tmp_path: Path
) -> None:
    table = tmp_path / "split.csv"
    table.write_text("PatientID,part\nPAT-000,train\nPAT-000,test\n")
    with pytest.raises(BatchError, match=pseudonym(filled, "PAT-000")) as refusal:
        frozen(filled, ball_task, Dealing(split_file=table))
    assert "PAT-000" not in str(refusal.value)

    table.write_text("PatientID,part\nPAT-000,somewhere\n")
    with pytest.raises(ConfigurationError, match="line 2"):
        frozen(filled, ball_task, Dealing(split_file=table))


def test_a_file_of_series_that_tears_a_patient_apart_is_refused(filled: House, ball_task: Task, tmp_path: Path) -> None:
    write_series(tmp_path / "second", patient="PAT-000", number=2, bright=True)
    ingest(filled, tmp_path / "second", source=EXPORT)
    uids = [str(pydicom.dcmread(next(path.iterdir())).SeriesInstanceUID) for path in (tmp_path / "export").iterdir()]
    mine = str(pydicom.dcmread(next((tmp_path / "second").iterdir())).SeriesInstanceUID)
    table = tmp_path / "split.csv"
    table.write_text("SeriesInstanceUID,part\n" + "".join(f"{uid},train\n" for uid in uids) + f"{mine},test\n")

    with pytest.raises(BatchError, match="both sides"):
        frozen(filled, ball_task, Dealing(split_file=table))


def test_a_multi_label_cohort_has_every_finding_and_its_absence_in_every_part(
    filled: House, ball_task: Task, tmp_path: Path
) -> None:
    lines = [f"PAT-{n:03d},{'yes' if n % 2 else 'no'},{'yes' if n % 3 else 'no'}" for n in range(PATIENTS - 2)]
    odd = [f"PAT-{PATIENTS - 2:03d},perhaps,no", f"PAT-{PATIENTS - 1:03d},yes,"]
    labelled(filled, tmp_path, "\n".join(["PatientID,nodule,fluid", *lines, *odd, ""]))
    rule = replace(ball_task.labels, kind=LabelKind.MULTI_LABEL, findings=("nodule", "fluid"), classes=("no", "yes"))
    task = replace(ball_task, labels=rule)

    cohort = frozen(filled, task)

    assert cohort.left_out == {"label-not-among-classes": 1, "unlabelled": 1}
    assert {member.label for member in cohort.members} == {"none", "nodule", "fluid", "nodule+fluid"}
    for part in ("train", "select", "test"):
        truths = [rule.truth(member.label) for member in cohort.members if member.part == part]
        assert all({truth[place] for truth in truths} == {0, 1} for place in (0, 1))
    checked_for(task, cohort)
    with pytest.raises(ConfigurationError, match=r"labels\.kind"):
        checked_for(ball_task, cohort)


def test_fingerprints_lie_beside_the_volumes_and_go_with_them(filled: House, ball_task: Task) -> None:
    cohort = frozen(filled, ball_task)
    assert len(list(filled.volumes.glob(f"*{SUFFIX}"))) == PATIENTS

    VolumeCache(root=filled.volumes).forget([member.input_digest for member in cohort.members])

    assert list(filled.volumes.iterdir()) == []
