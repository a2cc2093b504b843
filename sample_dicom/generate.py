"""Draw the sample: `python sample_dicom/generate.py OUT --chest-ct 120` makes OUT/export, OUT/labels and a manifest."""

import argparse
import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

if not __package__:  # run as a file: the package is this folder, so its parent must be on the path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sample_dicom.awkward import awkward_files
from sample_dicom.studies import File, brain_mr, chest_ct, pet_ct
from sample_dicom.subjects import FINDINGS, Subject, TaskName, subject

EXPORT, LABELS, MANIFEST = "export", "labels", "MANIFEST.sha256"
SHIPPED: dict[TaskName, int] = {"chest_ct": 40, "brain_mr": 24, "pet_ct": 16}
"""How many subjects of each task lie in the repository."""

_STUDIES: dict[TaskName, Callable[[Subject], Iterator[File]]] = {
    "chest_ct": chest_ct,
    "brain_mr": brain_mr,
    "pet_ct": pet_ct,
}


def draw(
    out: Path,
    *,
    chest_ct: int = SHIPPED["chest_ct"],
    brain_mr: int = SHIPPED["brain_mr"],
    pet_ct: int = SHIPPED["pet_ct"],
    awkward: bool = True,
) -> None:
    """Draw the first so many subjects of each task below `out`; a subject is the same whatever the numbers are.

    Even numbers are balanced: as many subjects with the finding as without.

    Raises:
        FileExistsError: there is a sample below `out` already; nothing is overwritten.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name in (EXPORT, LABELS):
        (out / name).mkdir()
    counts: dict[TaskName, int] = {"chest_ct": chest_ct, "brain_mr": brain_mr, "pet_ct": pet_ct}
    digests = {file.path: _write(out, file) for file in _everything(counts, awkward=awkward)}
    lines = [f"{digest}  {path}\n" for path, digest in sorted(digests.items())]
    (out / MANIFEST).write_text("".join(lines), encoding="ascii", newline="\n")


def _everything(counts: dict[TaskName, int], *, awkward: bool) -> Iterator[File]:
    """Draw studies, labels and awkward files, one at a time."""
    for task, count in counts.items():
        subjects = [subject(task, number) for number in range(1, count + 1)]
        for one in subjects:
            for file in _STUDIES[task](one):
                yield _below(EXPORT, file)
        if subjects:
            yield File(path=f"{LABELS}/{task}.csv", content=_table(task, subjects).encode("ascii"))
    if awkward:
        for file in awkward_files():
            yield _below(EXPORT, file)


def _table(task: TaskName, subjects: list[Subject]) -> str:
    """Write the labels of a task."""
    rows = [(one.patient_id, "present" if one.finding else "absent") for one in subjects]
    return "".join(f"{key},{value}\n" for key, value in [("PatientID", FINDINGS[task]), *rows])


def _below(folder: str, file: File) -> File:
    return File(path=f"{folder}/{file.path}", content=file.content)


def _write(out: Path, file: File) -> str:
    """Write one file and return its digest."""
    path = out / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.content)
    return hashlib.sha256(file.content).hexdigest()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python sample_dicom/generate.py", description=draw.__doc__)
    parser.add_argument("out", type=Path, help="a folder without a sample in it")
    for task, count in SHIPPED.items():
        option = f"--{task.replace('_', '-')}"
        parser.add_argument(option, type=int, default=count, metavar="N", help=f"subjects to draw (default {count})")
    parser.add_argument("--no-awkward", action="store_true", help="leave the awkward files out")
    given = parser.parse_args(arguments)
    try:
        draw(
            given.out,
            chest_ct=given.chest_ct,
            brain_mr=given.brain_mr,
            pet_ct=given.pet_ct,
            awkward=not given.no_awkward,
        )
    except FileExistsError:
        parser.error("there is a sample in that folder already; remove its export and labels first")
    return 0


if __name__ == "__main__":
    sys.exit(main())
