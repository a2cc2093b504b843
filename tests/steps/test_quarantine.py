"""Encrypted copies of what was set aside: by option, for a time, and opened on the record."""

import gzip
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from medflow.errors import IntegrityError, StateError
from medflow.steps import audit
from medflow.steps.copies import CHUNK, clear_expired
from medflow.steps.house import House, open_house
from medflow.steps.ingest import ingest
from medflow.steps.quarantine import listed, show
from medflow.steps.reidentify import lookups
from medflow.store.vault_copies import kept_copies
from tests.conftest import Database
from tests.steps.conftest import EXPORT, outside, places
from tests.steps.exports import write_series

SECRET = b"Family^PAT-900 "


@pytest.fixture
def keeping(tmp_path: Path, database: Database) -> Iterator[House]:
    """A house that keeps copies for a day, on SQLite and on PostgreSQL."""
    with closing(
        open_house(replace(places(tmp_path / "data", database), copies_kept=timedelta(days=1)), outside())
    ) as house:
        yield house


def broken_files(folder: Path) -> dict[bytes, Path]:
    """Write files that no reader takes: empty, small, and of a chunk's size and more."""
    folder.mkdir()
    sizes = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK)
    bodies = [b"\0" * 128 + b"DICM" + SECRET * (size // len(SECRET)) for size in sizes]
    bodies += [body[:size] for body, size in zip(bodies, sizes, strict=True) if size > 1]
    written = {}
    for number, body in enumerate(bodies):
        written[body] = folder / f"{number}.dcm"
        written[body].write_bytes(body)
    (folder / "g.dcm.gz").write_bytes(gzip.compress(bodies[1])[:-9])
    written[(folder / "g.dcm.gz").read_bytes()] = folder / "g.dcm.gz"
    return written


def test_every_quarantined_file_can_be_got_back_and_none_of_it_read(keeping: House, tmp_path: Path) -> None:
    bodies = broken_files(tmp_path / "export")
    ingest(keeping, tmp_path / "export", source=EXPORT)
    rows = listed(keeping)
    assert rows

    folder = keeping.quarantine
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in folder.iterdir()} == {row.file_key for row in rows} == kept_copies(keeping.vault)
    assert not [path for path in folder.iterdir() if SECRET in path.read_bytes() or path.stat().st_mode & 0o077]
    for row in rows:
        target = tmp_path / f"{row.file_key}.out"
        shown = show(keeping, row.file_key, copy_to=target)
        assert target.read_bytes() == Path(shown.path).read_bytes()
        assert target.read_bytes() in bodies
        assert target.stat().st_mode & 0o077 == 0
    events = audit.events(keeping, subject=None, run=None, limit=1000)
    assert sum(event["detail"]["files"] for event in events if event["kind"] == "quarantine-copied") == len(rows)
    assert "quarantine-copy" in {event["detail"].get("purpose") for event in events}


def test_a_copy_that_was_changed_is_not_written_out(keeping: House, tmp_path: Path) -> None:
    broken_files(tmp_path / "export")
    ingest(keeping, tmp_path / "export", source=EXPORT)
    copies = sorted(keeping.quarantine.iterdir(), key=lambda path: path.stat().st_size)
    damaged, shortened, swapped = copies[-1], copies[-2], copies[-3]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\0")
    shortened.write_bytes(shortened.read_bytes()[: 15 + CHUNK + 16])
    swapped.write_bytes(copies[0].read_bytes())

    for copy in (damaged, shortened, swapped):
        with pytest.raises(IntegrityError, match="damaged"):
            show(keeping, copy.name, copy_to=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").touch()
    with pytest.raises(StateError, match="cannot be written"):
        show(keeping, copies[0].name, copy_to=tmp_path / "out")


def test_copies_end_when_their_time_has_come(keeping: House, tmp_path: Path) -> None:
    broken_files(tmp_path / "export")
    ingest(keeping, tmp_path / "export", source=EXPORT)
    (row, *_), kept = listed(keeping), len(kept_copies(keeping.vault))
    (keeping.quarantine / ("f" * 32)).write_bytes(b"of a key that was destroyed")

    assert clear_expired(keeping, keeping.now()) == 1
    assert clear_expired(keeping, keeping.now() + timedelta(days=2)) == kept
    assert clear_expired(keeping, keeping.now() + timedelta(days=2)) == 0
    assert not list(keeping.quarantine.iterdir())
    with pytest.raises(StateError, match="no copy"):
        show(keeping, row.file_key, copy_to=tmp_path / "out")
    ingest(keeping, tmp_path / "export", source=EXPORT)
    assert not kept_copies(keeping.vault)


def test_a_refused_series_copies_are_forgotten_with_its_patient(keeping: House, tmp_path: Path) -> None:
    (last, *others) = write_series(tmp_path / "export", patient="PAT-900")
    last.write_bytes(last.read_bytes()[:-700])
    for path in others:
        path.write_bytes(path.read_bytes()[:-600])
    ingest(keeping, tmp_path / "export", source=EXPORT)
    assert kept_copies(keeping.vault)

    patient = keeping.pseudonyms.patient("PAT-900", "", "")[0]
    show(keeping, min(kept_copies(keeping.vault)), copy_to=tmp_path / "out")
    gone = keeping.vault.forget(patient)

    assert "quarantine-copy" in {look.purpose for look in lookups(keeping, patient=patient)}
    assert set(gone.copies) == {path.name for path in keeping.quarantine.iterdir()}
    assert clear_expired(keeping, keeping.now()) == len(gone.copies)


def test_without_the_option_quarantine_holds_references_only(house: House, tmp_path: Path) -> None:
    broken_files(tmp_path / "export")
    ingest(house, tmp_path / "export", source=EXPORT)

    assert listed(house)
    assert not house.quarantine.exists()
    assert not kept_copies(house.vault)


def test_a_copy_that_a_kill_left_unfinished_is_made_again(keeping: House, tmp_path: Path) -> None:
    broken_files(tmp_path / "export")
    ingest(keeping, tmp_path / "export", source=EXPORT)
    (row, *_) = listed(keeping)
    (keeping.quarantine / row.file_key).unlink()
    path = Path(show(keeping, row.file_key).path)
    path.write_bytes(path.read_bytes() + b"changed")

    ingest(keeping, tmp_path / "export", source=EXPORT)

    show(keeping, row.file_key, copy_to=tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == path.read_bytes()
