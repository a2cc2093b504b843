"""Facts about archives in an export: one file each, their members counted by themselves, everything once."""

import gzip
import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from medflow.deid.profile import default_profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.domain.series import FileState
from medflow.errors import Reason
from medflow.steps import quarantine
from medflow.steps.account import Counts
from medflow.steps.audit import events, verify
from medflow.steps.deidentify import deidentify
from medflow.steps.house import House
from medflow.steps.ingest import ingest
from medflow.steps.watch import Pass, Rhythm, watch
from medflow.store import runs, series
from medflow.store.engine import reading
from tests.steps.conftest import EXPORT
from tests.steps.exports import SLICES, write_series


def pack(folder: Path, archive: Path) -> Path:
    """Pack the files of a folder, and take the folder away."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bundle:
        for path in sorted(folder.iterdir()):
            bundle.write(path, f"PAT/{path.name}")
            path.unlink()
    folder.rmdir()
    return archive


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An export with a plain series, one in a zip beside junk, and an archive of junk."""
    folder = tmp_path / "export"
    write_series(folder / "plain", patient="PAT-1")
    write_series(folder / "packed", patient="PAT-2")
    (folder / "packed" / "notes.txt").write_text("seen by Family")
    (folder / "packed" / "empty").touch()
    pack(folder / "packed", folder / "packed.zip")
    with tarfile.open(folder / "junk.tar.gz", "w:gz") as junk:
        junk.addfile(tarfile.TarInfo("folder/viewer.exe"))
    return folder


def states(house: House) -> dict[str, int]:
    with reading(house.engine) as connection:
        rows = runs.files(connection)
    return {state.value: sum(row.state is state for row in rows) for state in FileState}


def told(house: House) -> list[str]:
    kinds = [event["kind"] for event in events(house, subject=None, run=None, limit=1000)]
    return [kind for kind in kinds if not kind.startswith("run-")]


def test_an_archive_is_one_file_and_its_members_are_counted_beside(any_house: House, export: Path) -> None:
    report = ingest(any_house, export, source=EXPORT)

    assert report.files == Counts(seen=SLICES + 2, accepted=SLICES + 1, quarantined=1)
    assert report.members == Counts(seen=SLICES + 3, accepted=SLICES, quarantined=2, ignored=1)
    assert report.reasons == {Reason.EMPTY_FILE: 2, Reason.NOT_DICOM: 1, Reason.NO_MEMBER_ACCEPTED: 1}
    assert report.record()["members"] == {"seen": SLICES + 3, "accepted": SLICES, "quarantined": 2, "ignored": 1}
    with reading(any_house.engine) as connection:
        (run,) = runs.runs(connection)
    assert (run.counts["files_seen"], run.counts["members_seen"]) == (SLICES + 2, SLICES + 3)
    assert sum(states(any_house).values()) == 2 * SLICES + 5
    assert verify(any_house).faults == ()


def test_taking_in_an_export_with_archives_twice_changes_nothing(house: House, export: Path) -> None:
    first = ingest(house, export, source=EXPORT)
    once, heard = states(house), told(house)

    again = ingest(house, export, source=EXPORT)

    assert (again.files, again.members, again.reasons) == (first.files, first.members, first.reasons)
    assert (again.series.accepted, again.series.new) == (2, 0)
    assert (states(house), told(house)) == (once, heard)


def test_a_series_is_the_same_series_however_it_was_packed(house: House, tmp_path: Path) -> None:
    plain, zipped, gzipped = (tmp_path / name for name in ("plain", "zipped", "gzipped"))
    for folder in (plain, zipped / "x", gzipped):
        write_series(folder, patient="PAT-1")
    pack(zipped / "x", zipped / "x.zip")
    for path in list(gzipped.iterdir()):
        path.with_suffix(".dcm.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()

    news = [ingest(house, folder, source=EXPORT).series.new for folder in (plain, zipped, gzipped)]

    assert news == [1, 0, 0]
    with reading(house.engine) as connection:
        assert len(series.accepted_series(connection)) == 1


def test_a_broken_archive_is_quarantined_and_what_was_read_of_it_is_taken_in(house: House, tmp_path: Path) -> None:
    export = tmp_path / "export"
    paths = write_series(export, patient="PAT-1")
    with tarfile.open(export / "x.tar", "w") as bundle:
        for path in paths:
            bundle.add(path, path.name)
            path.unlink()
    whole = (export / "x.tar").read_bytes()
    (export / "x.tar").write_bytes(whole[:14_000])

    report = ingest(house, export, source=EXPORT)

    assert report.files == Counts(seen=1, quarantined=1)
    assert report.reasons[Reason.DAMAGED_ARCHIVE] == 2  # the archive, and the member that it breaks off in
    assert report.members.accepted == report.members.seen - 1 > 1


@pytest.mark.parametrize(
    ("content", "state", "reason"),
    [
        (b"", FileState.QUARANTINED, Reason.NO_MEMBER_ACCEPTED),
        (b"junk", FileState.IGNORED, Reason.ARCHIVE_WITHOUT_IMAGES),
        (None, FileState.IGNORED, Reason.ARCHIVE_WITHOUT_IMAGES),
    ],
)
def test_an_archive_of_nothing_for_us_says_so(
    house: House, tmp_path: Path, content: bytes | None, state: FileState, reason: Reason
) -> None:
    (tmp_path / "export").mkdir()
    with zipfile.ZipFile(tmp_path / "export" / "x.zip", "w") as bundle:
        if content is not None:
            bundle.writestr("m", content)

    report = ingest(house, tmp_path / "export", source=EXPORT)

    assert (getattr(report.files, state), report.reasons[reason]) == (1, 1)


def test_the_vault_says_in_which_archive_a_quarantined_member_lies(house: House, export: Path) -> None:
    ingest(house, export, source=EXPORT)

    shown = {quarantine.show(house, row.file_key).path for row in quarantine.listed(house)}

    packed, junk = export / "packed.zip", export / "junk.tar.gz"
    assert shown == {f"{packed}!/PAT/empty", f"{junk}!/folder/viewer.exe", str(junk)}


def test_no_row_and_no_safe_file_holds_the_name_of_a_member(house: House, tmp_path: Path) -> None:
    export = tmp_path / "export"
    export.mkdir()
    with zipfile.ZipFile(export / "x.zip", "w") as bundle:
        bundle.writestr("Canary^Yellow/../m", b"junk")
        bundle.writestr("Canary^Yellow/n", b"junk")

    ingest(house, export, source=EXPORT)

    house.close()
    for path in house.data.rglob("*"):
        assert not path.is_file() or b"Canary" not in path.read_bytes(), path.name


def test_names_that_are_no_text_are_accounted_for_and_shown(house: House, tmp_path: Path) -> None:
    export = tmp_path / "export"
    export.mkdir()
    Path(os.fsdecode(os.fsencode(export) + b"/M\xfcller\xff.dcm")).touch()
    with tarfile.open(export / "x.tar", "w") as bundle:
        bundle.addfile(tarfile.TarInfo("M\udcfcller"))

    report = ingest(house, export, source=EXPORT)

    assert (report.files.quarantined, report.members.quarantined) == (2, 1)
    shown = {quarantine.show(house, row.file_key).path for row in quarantine.listed(house)}
    assert f"{export}/M\\udcfcller\\udcff.dcm" in shown
    assert f"{export}/x.tar!/M\\udcfcller" in shown


def test_two_names_that_unicode_takes_for_one_are_two_files(house: House, tmp_path: Path) -> None:
    export = tmp_path / "export"
    export.mkdir()
    for name in ("\u00e9", "e\u0301"):
        (export / name).write_bytes(b"")

    ingest(house, export, source=EXPORT)

    assert states(house)["quarantined"] == 2


def test_an_archive_waits_whole_while_a_series_in_it_is_arriving(house: House, export: Path) -> None:
    write_series(export / "part", patient="PAT-3", slices=tuple(range(SLICES - 1)))
    pack(export / "part", export / "part.zip")
    now = house.now().timestamp()
    for path in export.rglob("*"):
        os.utime(path, (now - 3600, now - 3600))
    (late,) = write_series(export / "late", patient="PAT-3", slices=(SLICES - 1,))
    os.utime(late, (now - 5, now - 5))

    report = ingest(house, export, source=EXPORT, quiet=60)

    assert (report.files.seen, report.members.seen, report.series.new) == (SLICES + 2, SLICES + 3, 2)
    assert report.waiting == 2


def test_the_engine_alone_reads_archives_too(export: Path, tmp_path: Path) -> None:
    report = deidentify(export, tmp_path / "out", pseudonyms=Pseudonyms(key=bytes(32)), profile=default_profile())

    assert (report.series, report.files.accepted, report.members.accepted) == (2, SLICES + 1, SLICES)
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 2 * SLICES


def watched(house: House, folder: Path, script: Iterator[float]) -> list[Pass]:
    now = [0.0]

    def wait() -> bool:
        step = next(script, None)
        now[0] += step or 0.0
        return step is not None

    return list(watch(house, folder, source=EXPORT, rhythm=Rhythm(quiet=10, wait=wait, clock=lambda: now[0])))


def test_an_archive_that_still_grows_waits_and_is_then_taken_in_once(
    house: House, export: Path, tmp_path: Path
) -> None:
    whole = (export / "packed.zip").read_bytes()
    folder = tmp_path / "drop"
    folder.mkdir()

    def script() -> Iterator[float]:
        for part in range(1, 5):
            (folder / "x.zip").write_bytes(whole[: len(whole) * part // 4])
            yield 6
        yield 6
        yield 60
        os.utime(folder / "x.zip", ns=(1, 1))
        yield 20
        yield 20

    passes = watched(house, folder, script())

    assert [(p.ingested.series.new, p.ingested.members.accepted) for p in passes] == [(1, SLICES), (0, SLICES)]
