"""Facts about merged records: one person, one pseudonym, one shift of dates, and nobody's model unflagged."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread

from medflow.domain.safe import Pseudonym
from medflow.domain.task import Task
from medflow.errors import StateError
from medflow.steps.audit import events, verify
from medflow.steps.house import House
from medflow.steps.ingest import ingest
from medflow.steps.keys import new_epoch
from medflow.steps.merge import merge
from medflow.steps.purpose import Purpose
from medflow.steps.score import score
from medflow.steps.train import train
from medflow.store import files, flags
from medflow.store.engine import reading
from medflow.store.series import SeriesRow, accepted_series
from tests.steps.conftest import EXPORT
from tests.steps.exports import write_series


def pseudonym(house: House, patient_id: str) -> Pseudonym:
    found = house.pseudonyms.patient_of_id(patient_id)
    assert found is not None
    return found


def standing(house: House, patient: Pseudonym) -> list[SeriesRow]:
    with reading(house.engine) as connection:
        return [row for row in accepted_series(connection) if row.patient == patient]


def days_between(house: House, one: SeriesRow, other: SeriesRow) -> set[str]:
    loaded = [files.load(house.safe, row) for row in (one, other)]
    return {dcmread(series.folder / series.files[0].name).StudyDate for series in loaded}


def test_after_a_merge_both_patients_series_stand_under_one_pseudonym_and_one_shift(
    any_house: House, tmp_path: Path
) -> None:
    write_series(tmp_path / "export" / "a", patient="PAT-1")
    write_series(tmp_path / "export" / "b", patient="PAT-2")
    ingest(any_house, tmp_path / "export", source=EXPORT)
    one, into = pseudonym(any_house, "PAT-1"), pseudonym(any_house, "PAT-2")
    ((before,), (stays,)) = standing(any_house, one), standing(any_house, into)

    report = merge(any_house, one, into)

    rows = standing(any_house, into)
    moved = next(row for row in rows if row.id != stays.id)
    assert (report.series, report.refused, report.models) == (1, {}, ())
    assert standing(any_house, one) == []
    assert len(rows) == 2
    assert (moved.uid, moved.study, moved.series_digest) == (before.uid, before.study, before.series_digest)
    assert (moved.revision, moved.source, moved.completeness) == (2, before.source, before.completeness)
    assert len(days_between(any_house, moved, stays)) == 1  # both studies were made on one day
    known = any_house.vault.identities(series=moved.uid)
    assert {(identity.patient, identity.source_digest) for identity in known} == {
        (into, before.source_digest),
        (into, moved.source_digest),
    }
    assert verify(any_house).faults == ()


def test_what_comes_after_the_merge_is_taken_in_as_the_one_patient(
    open_again: Callable[[], House], tmp_path: Path
) -> None:
    write_series(tmp_path / "export" / "a", patient="PAT-1")
    write_series(tmp_path / "export" / "b", patient="PAT-2")
    house = open_again()
    one, into = pseudonym(house, "PAT-1"), pseudonym(house, "PAT-2")
    ingest(house, tmp_path / "export", source=EXPORT)
    merge(house, one, into)
    write_series(tmp_path / "export" / "later", patient="PAT-1", number=2)

    for late in (house, open_again()):  # a process that was open all the while, and one that opens now
        report = ingest(late, tmp_path / "export", source=EXPORT)

        assert report.files.seen == report.files.accepted
        assert standing(late, one) == []
        assert len(standing(late, into)) == 3


def test_the_same_merge_again_changes_nothing(house: House, tmp_path: Path) -> None:
    write_series(tmp_path / "export" / "a", patient="PAT-1")
    write_series(tmp_path / "export" / "b", patient="PAT-2")
    ingest(house, tmp_path / "export", source=EXPORT)
    one, into = pseudonym(house, "PAT-1"), pseudonym(house, "PAT-2")
    merge(house, one, into)
    before = standing(house, into)

    assert merge(house, one, into).series == 0
    assert standing(house, into) == before


def test_a_safe_copy_that_is_lost_after_the_merge_comes_back_as_it_was(
    open_again: Callable[[], House], tmp_path: Path
) -> None:
    write_series(tmp_path / "export" / "a", patient="PAT-1")
    write_series(tmp_path / "export" / "b", patient="PAT-2")
    house = open_again()
    ingest(house, tmp_path / "export", source=EXPORT)
    one, into = pseudonym(house, "PAT-1"), pseudonym(house, "PAT-2")
    merge(house, one, into)
    rows = standing(house, into)
    for path in sorted(house.safe.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()

    ingest(open_again(), tmp_path / "export", source=EXPORT)

    assert standing(house, into) == rows
    assert len([files.load(house.safe, row) for row in rows]) == 2


def test_models_that_used_either_patient_are_flagged_and_a_split_between_them_is_named(
    trained: House, ball_task: Task
) -> None:
    score(trained)
    with reading(trained.engine) as connection:
        rows = flags.touched(connection, {row.patient for row in accepted_series(connection) if row.patient})
    one = next(touched for touched in rows if "train" in touched.parts)
    other = next(touched for touched in rows if "test" in touched.parts)
    same = next(touched for touched in rows if "train" in touched.parts and touched.patient != one.patient)

    apart, together = merge(trained, one.patient, other.patient), merge(trained, same.patient, one.patient)

    assert apart.across == (one.model,)
    assert {touched.patient for touched in apart.models} == {one.patient, other.patient}
    assert together.across == (one.model,)  # whoever joins them now was apart from one of them
    with reading(trained.engine) as connection:
        assert {flag.patient for flag in flags.flags(connection)} == {one.patient, same.patient}
    told = [event["kind"] for event in events(trained, subject=None, run=None, limit=999)]
    assert told.count("model-flagged") == 2
    assert train(trained, ball_task).new


def test_a_merge_that_makes_no_sense_is_refused(house: House, tmp_path: Path) -> None:
    write_series(tmp_path / "export" / "a", patient="UNKNOWN")
    write_series(tmp_path / "export" / "b", patient="PAT-1")
    ingest(house, tmp_path / "export", source=EXPORT)
    one = pseudonym(house, "PAT-1")
    with reading(house.engine) as connection:
        (row,) = (row for row in accepted_series(connection) if row.patient != one)

    with pytest.raises(StateError, match="one patient already"):
        merge(house, one, one)
    assert row.patient is not None
    with pytest.raises(StateError, match="placeholder"):
        merge(house, row.patient, one)


@pytest.mark.parametrize("typo", ["PAAAAAAAAAAAAAAAA", "Family^PAT-1"])
def test_a_name_that_nobody_has_is_merged_with_nobody_and_repeated_nowhere(
    house: House, tmp_path: Path, typo: str
) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    ingest(house, tmp_path / "export", source=EXPORT)
    one = pseudonym(house, "PAT-1")

    for names in ((one, Pseudonym(typo)), (Pseudonym(typo), one)):
        with pytest.raises(StateError, match="nobody here") as refusal:
            merge(house, *names)
        assert typo not in str(refusal.value)

    assert typo not in str(events(house, subject=None, run=None, limit=999))
    assert house.vault.aliases() == {}


def test_a_name_of_an_older_epoch_is_merged_with_nobody(open_again: Callable[[], House], tmp_path: Path) -> None:
    write_series(tmp_path / "export" / "a", patient="PAT-1")
    write_series(tmp_path / "export" / "b", patient="PAT-2")
    ingest(open_again(), tmp_path / "export", source=EXPORT)
    former = pseudonym(open_again(), "PAT-1")
    new_epoch(open_again(), Purpose(words="another key for another year"))
    house = open_again()
    ingest(house, tmp_path / "export", source=EXPORT)

    with pytest.raises(StateError, match=pseudonym(house, "PAT-1")):
        merge(house, former, pseudonym(house, "PAT-2"))


def test_after_merges_in_a_row_the_next_ingest_finds_everything_as_it_is(
    open_again: Callable[[], House], tmp_path: Path
) -> None:
    for name in ("PAT-1", "PAT-2", "PAT-3"):
        write_series(tmp_path / "export" / name, patient=name)
    house = open_again()
    ingest(house, tmp_path / "export", source=EXPORT)
    one, other, into = (pseudonym(house, name) for name in ("PAT-1", "PAT-2", "PAT-3"))
    house.vault.put_alias(one, other)  # a merge that was killed after it had said so
    assert merge(open_again(), other, into).series == 2

    assert len(standing(house, into)) == 3
    assert ingest(open_again(), tmp_path / "export", source=EXPORT).series.new == 0
