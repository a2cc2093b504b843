"""The engine as a tool of its own: every file accounted for, the same bytes by however many processes."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread

from medflow.deid.profile import Option, default_profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.errors import ConfigurationError, Reason, SeriesError
from medflow.steps import crew
from medflow.steps.account import Counts
from medflow.steps.deidentify import DeidentifyReport, deidentify
from medflow.steps.settle import Elsewhere
from tests.steps.exports import SLICES, write_series

HOUSE = Pseudonyms(key=bytes(range(32)))
WRITE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from medflow.deid.folder import being_written
with being_written(Path(sys.argv[1])) as folder:
    (folder / "IM000001.dcm").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def run(folder: Path, out: Path, *, processes: int = 1, pseudonyms: Pseudonyms = HOUSE) -> DeidentifyReport:
    return deidentify(folder, out, pseudonyms=pseudonyms, profile=default_profile(), processes=processes)


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def export_of_three(folder: Path) -> Path:
    for patient in ("PAT-1", "PAT-2", "PAT-3"):
        write_series(folder / patient, patient=patient)
    (folder / "PAT-2" / "cut.dcm").write_bytes((folder / "PAT-2").glob("*").__next__().read_bytes()[:700])
    (folder / "empty.dcm").touch()
    return folder


def test_every_file_is_written_or_listed_by_its_number_with_a_reason(tmp_path: Path) -> None:
    folder = export_of_three(tmp_path / "export")

    report = run(folder, tmp_path / "out")

    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert report.files == Counts(seen=len(files), accepted=3 * SLICES, quarantined=2, ignored=0)
    assert {files[one.file - 1]: one.reason for one in report.withheld} == {
        "PAT-2/cut.dcm": Reason.DAMAGED_HEADER,
        "empty.dcm": Reason.EMPTY_FILE,
    }
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == report.files.accepted
    assert not report.clean


def test_what_was_done_is_counted_and_stands_beside_the_series(tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")

    report = run(tmp_path / "export", tmp_path / "out")

    elements, pixels = report.ledger.elements, report.ledger.pixels
    assert pixels["frames"] == SLICES
    assert elements["mapped"] >= 4 * SLICES
    assert elements["shifted"] >= SLICES
    assert elements["replaced"] >= 2 * SLICES
    written = json.loads((tmp_path / "out" / "report.json").read_bytes())
    assert written == {"schema": "medflow/deidentify/1", **report.record()}
    assert {code["code"] for code in written["profile"]["codes"]} >= {"113100", "113107"}


def test_two_processes_write_the_same_bytes_as_one(tmp_path: Path) -> None:
    folder = export_of_three(tmp_path / "export")

    alone, together = (run(folder, tmp_path / str(count), processes=count) for count in (1, 2))

    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    assert alone.record() == together.record()


def test_a_process_that_dies_takes_one_piece_of_work_with_it_and_no_other() -> None:
    things = ["1 + 1", "__import__('os')._exit(3)", "2 + 2", "1 / 0", "3 + 3"]

    results = [_result(outcome) for outcome in crew.outcomes(eval, things, processes=2)]

    assert results[::2] == [2, 4, 6]
    assert "died" in str(results[1])
    assert "ZeroDivisionError" in str(results[3])


def _result(outcome: "crew.Outcome[int]") -> int | Exception:
    try:
        return outcome()
    except (Elsewhere, SeriesError) as error:
        return error


def test_what_a_killed_run_left_half_written_is_gone_after_the_next(tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    run(tmp_path / "export", tmp_path / "out")
    before = contents(tmp_path / "out")
    parent = next((tmp_path / "out").glob("*/*"))
    killed = subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(parent)], check=False, env=os.environ)  # noqa: S603
    assert killed.returncode == -signal.SIGKILL
    assert list(parent.glob(".writing-*/*.dcm"))

    run(tmp_path / "export", tmp_path / "out")

    assert contents(tmp_path / "out") == before
    assert not list((tmp_path / "out").rglob(".writing-*"))


@pytest.mark.parametrize(("folder", "out"), [(".", "inside"), ("inside", "."), ("inside", "link"), (".", ".")])
def test_input_and_output_do_not_lie_in_one_another(folder: str, out: str, tmp_path: Path) -> None:
    (tmp_path / "inside" / "deeper").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "inside" / "deeper")

    with pytest.raises(ConfigurationError):
        run(tmp_path / folder, tmp_path / out)

    assert not (tmp_path / out / "report.json").exists()


def test_files_of_another_profile_make_way_and_the_same_again_stay_as_they_are(tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    full = replace(default_profile(), options=default_profile().options - {Option.MODIFIED_DATES} | {Option.FULL_DATES})
    deidentify(tmp_path / "export", tmp_path / "out", pseudonyms=HOUSE, profile=full)

    run(tmp_path / "export", tmp_path / "out")
    inodes = {path: path.stat().st_ino for path in (tmp_path / "out").rglob("*.dcm")}
    run(tmp_path / "export", tmp_path / "out")
    run(tmp_path / "export", tmp_path / "new")

    assert len(inodes) == SLICES
    assert {path: path.stat().st_ino for path in (tmp_path / "out").rglob("*.dcm")} == inodes
    assert contents(tmp_path / "out") == contents(tmp_path / "new")


def test_a_series_that_is_withheld_now_is_no_longer_there(tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    run(tmp_path / "export", tmp_path / "out")
    for path in (tmp_path / "export").iterdir():
        ds = dcmread(path)
        ds.BurnedInAnnotation = "YES"
        ds.save_as(path)

    report = run(tmp_path / "export", tmp_path / "out")

    assert report.files.accepted == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.json"]


def test_two_recipients_get_names_that_cannot_be_joined(tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    for label in ("TRIAL-1", "TRIAL-2"):
        run(tmp_path / "export", tmp_path / label, pseudonyms=HOUSE.for_recipient(label))

    one, two = ({path.name for path in (tmp_path / label).glob("*/*")} for label in ("TRIAL-1", "TRIAL-2"))

    assert one.isdisjoint(two)
    assert b"TRIAL" not in b"".join(contents(tmp_path / "TRIAL-1").values())


def test_files_bear_no_time_and_are_not_for_everybody(tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")

    run(tmp_path / "export", tmp_path / "out")

    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            assert path.stat().st_mtime == 946_684_800
            assert path.stat().st_mode & 0o007 == 0
