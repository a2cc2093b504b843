"""Facts about watching: what is quiet is taken in and scored, and the folder is never touched."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from medflow.steps.house import House
from medflow.steps.watch import Pass, Rhythm, watch
from tests.steps.conftest import EXPORT, PATIENTS
from tests.steps.exports import SLICES, write_series


def _watched(house: House, folder: Path, script: Iterator[float]) -> list[Pass]:
    """Watch with a clock that `script` moves: each step of it is one look, and its end stops the watch."""
    now = [0.0]

    def wait() -> bool:
        step = next(script, None)
        now[0] += step or 0.0
        return step is not None

    return list(watch(house, folder, source=EXPORT, rhythm=Rhythm(quiet=10, wait=wait, clock=lambda: now[0])))


def test_a_series_that_drops_in_file_by_file_is_taken_in_once_when_it_is_quiet(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()

    def script() -> Iterator[float]:
        for index in range(SLICES):
            write_series(folder, patient="PAT-1", slices=(index,))
            yield 6
        yield 6
        yield 6
        yield 60

    passes = _watched(house, folder, script())

    assert [(p.ingested.series.new, p.ingested.files.accepted) for p in passes] == [(1, SLICES)]


def test_a_quiet_series_does_not_wait_for_one_that_is_arriving(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    write_series(folder / "a", patient="PAT-1")

    def script() -> Iterator[float]:
        for index in range(SLICES):
            yield 6
            write_series(folder / "b", patient="PAT-2", slices=(index,))
        yield 6
        yield 12

    passes = _watched(house, folder, script())

    assert [p.ingested.series.new for p in passes] == [1, 1]
    assert passes[0].ingested.files.seen == SLICES


def test_a_late_slice_makes_one_more_pass(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    write_series(folder, patient="PAT-1", slices=tuple(range(SLICES - 1)))

    def script() -> Iterator[float]:
        yield 20
        write_series(folder, patient="PAT-1", slices=(SLICES - 1,))
        yield 20
        yield 20
        yield 20

    passes = _watched(house, folder, script())

    assert [p.ingested.files.accepted for p in passes] == [SLICES - 1, SLICES]


def test_a_file_that_is_sent_again_makes_no_new_revision(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    first, *_ = write_series(folder, patient="PAT-1")

    def script() -> Iterator[float]:
        yield 20
        (folder / "zzz.dcm").write_bytes(first.read_bytes())
        yield 20
        yield 20

    passes = _watched(house, folder, script())

    assert [(p.ingested.series.new, p.ingested.files.ignored) for p in passes] == [(1, 0), (0, 1)]


def test_what_is_new_is_scored_where_a_model_stands(trained: House, tmp_path: Path) -> None:
    write_series(tmp_path / "drop", patient="PAT-500")

    (only,) = _watched(trained, tmp_path / "drop", iter([20.0]))

    assert only.scored is not None
    assert only.scored.scored == PATIENTS + 2


@pytest.mark.parametrize("junk", [b"", b"no DICOM"])
def test_junk_is_accounted_for_once(house: House, tmp_path: Path, junk: bytes) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    (folder / "junk").write_bytes(junk)

    passes = _watched(house, folder, iter([20.0, 20.0, 20.0]))

    assert [p.ingested.files.seen for p in passes] == [1]
