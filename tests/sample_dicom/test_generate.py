"""The generator still draws what is shipped, each subject alone and all of them together."""

import csv
import hashlib
from collections import Counter, defaultdict
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from sample_dicom.generate import EXPORT, LABELS, MANIFEST, SHIPPED, draw, main
from sample_dicom.studies import File, brain_mr, chest_ct, pet_ct
from sample_dicom.subjects import FINDINGS, TaskName, scanner_of, subject
from tests.sample_dicom.reading import ONE_OF_EACH, SAMPLE, SCANNERS, TASKS, manifest

MEGABYTE = 10**6


def drawn(task: TaskName, number: int) -> list[File]:
    return list({"chest_ct": chest_ct, "brain_mr": brain_mr, "pet_ct": pet_ct}[task](subject(task, number)))


def test_the_manifest_names_every_file_of_the_sample_and_no_other() -> None:
    found = {
        path.relative_to(SAMPLE).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in (EXPORT, LABELS)
        for path in (SAMPLE / folder).rglob("*")
        if path.is_file()
    }

    assert found == manifest()


@pytest.mark.parametrize(("task", "number"), ONE_OF_EACH)
def test_the_generator_still_draws_the_first_subject_of_each_scanner(task: TaskName, number: int) -> None:
    noted = manifest()

    assert all(
        noted[f"{EXPORT}/{file.path}"] == hashlib.sha256(file.content).hexdigest() for file in drawn(task, number)
    )


@pytest.mark.slow
def test_the_generator_still_draws_the_whole_sample(tmp_path: Path) -> None:
    draw(tmp_path / "out")

    assert (tmp_path / "out" / MANIFEST).read_bytes() == (SAMPLE / MANIFEST).read_bytes()


def test_a_subject_is_the_same_however_many_are_drawn(tmp_path: Path) -> None:
    draw(tmp_path / "two", chest_ct=2, brain_mr=1, pet_ct=0, awkward=False)

    few = {path: digest for path, digest in manifest(tmp_path / "two").items() if path.startswith(EXPORT)}
    assert few
    assert few.items() <= manifest().items()


def test_a_sample_is_never_drawn_over_another(tmp_path: Path) -> None:
    draw(tmp_path, chest_ct=0, brain_mr=0, pet_ct=0, awkward=False)

    with pytest.raises(FileExistsError):
        draw(tmp_path, chest_ct=0, brain_mr=0, pet_ct=0, awkward=False)


def test_the_sample_is_smaller_than_fifteen_megabytes() -> None:
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*") if "__pycache__" not in path.parts) < 15 * MEGABYTE


@pytest.mark.parametrize("task", TASKS)
def test_labels_are_balanced_and_independent_of_the_scanner(task: TaskName) -> None:
    with (SAMPLE / LABELS / f"{task}.csv").open(encoding="ascii", newline="") as file:
        rows = list(csv.DictReader(file))
    people = {subject(task, number).patient_id: subject(task, number) for number in range(1, SHIPPED[task] + 1)}

    assert {row["PatientID"]: row[FINDINGS[task]] == "present" for row in rows} == {
        key: person.finding for key, person in people.items()
    }
    seen: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for row in rows:
        seen[scanner_of(people[row["PatientID"]].number, SCANNERS[task])][row[FINDINGS[task]]] += 1
    assert len(seen) == SCANNERS[task]
    assert all(counts["present"] == counts["absent"] for counts in seen.values())


@pytest.mark.parametrize("task", TASKS)
def test_a_finding_changes_pixels_and_nothing_else(task: TaskName) -> None:
    person = subject(task, 1)
    draws = {"chest_ct": chest_ct, "brain_mr": brain_mr, "pet_ct": pet_ct}[task]
    pairs = zip(draws(replace(person, finding=True)), draws(replace(person, finding=False)), strict=True)

    both = [[pydicom.dcmread(BytesIO(file.content)) for file in pair] for pair in pairs]
    assert any(one.PixelData != other.PixelData for one, other in both)
    for pair in both:
        for ds in pair:
            del ds.PixelData
            ds.pop("RescaleSlope", None)  # PET scales each slice to its greatest value
    assert all(one == other for one, other in both)


def test_the_command_draws_what_it_is_asked_for(tmp_path: Path) -> None:
    assert main([str(tmp_path), "--chest-ct", "2", "--brain-mr", "0", "--pet-ct", "0", "--no-awkward"]) == 0

    assert {path.name for path in (tmp_path / EXPORT).iterdir()} == {"SAMPLE-CT-001", "SAMPLE-CT-002"}
    assert [path.name for path in (tmp_path / LABELS).iterdir()] == ["chest_ct.csv"]
