"""Many processes read what one reads, in its order; one that dies costs no file."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from medflow.dicom import readers
from medflow.dicom.scan import list_files, scan_folder
from medflow.domain.progress import Silent
from medflow.errors import Reason
from tests.dicom.archived import series, zipped
from tests.dicom.drawn import one_slice, written

FILES = 600


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with more files than processes read at a time, archives and junk among them."""
    folder = tmp_path_factory.mktemp("many")
    plain = written(one_slice(1))
    for number in range(FILES):
        content = b"junk" if number % 50 == 7 else zipped(series()) if number == 300 else plain
        (folder / f"{number:04}").write_bytes(content)
    (folder / "caf\udce9").write_bytes(plain)
    return folder


def children() -> set[int]:
    """Name the processes that this one started."""
    found = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {int(child) for path in found for child in path.read_text().split()}


@pytest.mark.parametrize("workers", [2, 3, 9])
def test_what_is_found_does_not_depend_on_how_many_read(many: Path, workers: int) -> None:
    before = children()

    by_many = scan_folder(many, workers=workers)

    assert by_many == scan_folder(many, workers=1)
    assert by_many.seen == FILES + 1
    assert children() == before


class Killer(Silent):
    """Kills every process that reads, whenever a share was read, as often as it is told to."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.before = children()
        self.killed = 0

    def advance(self, parts: int = 1) -> None:  # noqa: ARG002  (a Progress)
        """Kill them."""
        for child in (children() - self.before) if self.killed < self.times else ():
            os.kill(child, signal.SIGKILL)
            self.killed += 1


def test_a_process_that_is_killed_loses_no_file(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "SHARE_FILES", 40)
    killer = Killer(times=3)

    scan = scan_folder(many, workers=2, progress=killer)

    assert killer.killed >= 2
    assert scan == scan_folder(many, workers=1)


def test_a_file_that_kills_whoever_reads_it_is_set_aside_alone(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deadly = next(file for file in list_files(many) if file.relative == "0123")
    serve = f"""
import sys; sys.path[:] = {sys.path!r}
from medflow.dicom import readers, sources
read = sources.read_file
def deadly(file, shared):
    if file.relative == {deadly.relative!r}:
        import os; os.abort()
    return read(file, shared)
readers.read_file = deadly
readers.serve()
"""
    monkeypatch.setattr(readers, "_command", lambda: [sys.executable, "-c", serve])

    scan = scan_folder(many, workers=2)

    assert scan.seen == FILES + 1
    assert [a.file.relative for a in scan.set_aside if a.reason is Reason.UNEXPECTED_ERROR] == ["0123"]


def test_where_no_process_starts_the_files_are_read_here(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "_command", lambda: [sys.executable, "-c", "raise SystemExit"])

    assert scan_folder(many, workers=2) == scan_folder(many, workers=1)


def test_a_scan_that_is_broken_off_leaves_no_process(many: Path) -> None:
    class Interrupted(Silent):
        def advance(self, parts: int = 1) -> None:  # noqa: ARG002  (a Progress)
            raise KeyboardInterrupt

    before = children()

    with pytest.raises(KeyboardInterrupt):
        scan_folder(many, workers=2, progress=Interrupted())

    assert children() == before


def test_a_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    parent = """
import subprocess, sys
from medflow.dicom.readers import _Reader
reader = _Reader()
assert reader._running()
print(reader._process.pid, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(  # noqa: S603  (our own interpreter)
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        reader = int(process.stdout.readline())
        process.kill()

    for _ in range(100):
        if not Path(f"/proc/{reader}").exists() or "Z" in Path(f"/proc/{reader}/stat").read_text().split()[2]:
            break
        signal.sigtimedwait([], 0.05)
    else:
        pytest.fail("it is still running")
