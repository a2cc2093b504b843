"""Facts about opening the house: made on first use, never with a new key where a database stands."""

import sqlite3
from pathlib import Path

import pytest

from medflow.errors import ConfigurationError, StateError
from medflow.steps.audit import events, verify
from medflow.steps.house import House, KeyFiles, Places, make, open_house
from medflow.steps.ingest import ingest
from medflow.steps.quarantine import listed, show
from medflow.steps.status import status
from tests.steps.conftest import EXPORT, outside
from tests.steps.exports import write_cohort


def _places(root: Path, main_url: str | None = None) -> Places:
    keys = root / "keys"
    return Places(
        data=root,
        main_url=main_url or f"sqlite:///{root}/medflow.db",
        vault_url=f"sqlite:///{root}/vault.db",
        keys=KeyFiles(pseudonym=keys / "pseudonym.key", vault=keys / "vault.key", audit=keys / "audit.key"),
    )


def test_first_use_makes_keys_database_and_vault_for_their_owner_alone(tmp_path: Path) -> None:
    house = open_house(_places(tmp_path / "data"), outside())
    house.close()

    assert "the database" in house.made
    for path in [*(tmp_path / "data" / "keys").iterdir(), tmp_path / "data" / "medflow.db"]:
        assert path.stat().st_mode & 0o077 == 0, path.name


def test_whoever_only_reads_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="medflow ingest"):
        open_house(_places(tmp_path / "data"), outside(), writing=False)
    assert not (tmp_path / "data").exists()


def test_a_data_folder_that_cannot_be_made_is_named_so_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()

    with pytest.raises(ConfigurationError, match=r"cannot be made there: Not a directory$"):
        open_house(_places(tmp_path / "taken" / "data"), outside())


@pytest.mark.parametrize("name", ["pseudonym", "vault", "audit"])
def test_where_a_database_stands_a_missing_key_is_never_made_anew(tmp_path: Path, name: str) -> None:
    places = _places(tmp_path / "data")
    open_house(places, outside()).close()
    lost = tmp_path / "data" / "keys" / f"{name}.key"
    lost.unlink()

    for attempt in (lambda: open_house(places, outside()), lambda: make(places)):
        with pytest.raises(ConfigurationError, match=f"{name} key"):
            attempt()
    assert not lost.exists()


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    places = _places(tmp_path / "data")
    open_house(places, outside()).close()
    places.keys.vault.chmod(0o644)

    with pytest.raises(ConfigurationError, match="chmod 600"):
        open_house(places, outside())


def test_another_vault_key_is_recognised_at_once(tmp_path: Path) -> None:
    places = _places(tmp_path / "data")
    open_house(places, outside()).close()
    places.keys.vault.write_bytes(b"k" * 32)

    with pytest.raises(ConfigurationError, match="another key"):
        open_house(places, outside())


def test_an_empty_postgresql_database_wants_an_upgrade_first(tmp_path: Path, postgres_url: str) -> None:
    places = _places(tmp_path / "data", postgres_url)

    with pytest.raises(ConfigurationError, match="medflow db upgrade"):
        open_house(places, outside())
    make(places)
    open_house(places, outside()).close()


def test_an_audit_row_edited_by_hand_is_named(tmp_path: Path) -> None:
    places = _places(tmp_path / "data")
    house = open_house(places, outside())
    write_cohort(tmp_path / "export", 2)
    ingest(house, tmp_path / "export", source=EXPORT)

    with sqlite3.connect(tmp_path / "data" / "medflow.db") as connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type='trigger' AND tbl_name='audit'")
        for (name,) in triggers.fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE audit SET line = replace(line, '\"files\":8', '\"files\":7') WHERE seq = 2")
    connection.close()

    assert [fault.seq for fault in verify(house).faults] == [2]
    house.close()


def test_looking_up_a_quarantined_file_is_audited_before_and_after(house: House, tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "empty.dcm").touch()
    ingest(house, tmp_path / "export", source=EXPORT)
    (row,) = listed(house)

    found = show(house, row.file_key[:10])

    assert found.path == str(tmp_path / "export" / "empty.dcm")
    kinds = [event["kind"] for event in events(house, subject=None, run=None, limit=100)]
    assert kinds.index("vault-read-requested") < kinds.index("vault-read-done")


def test_the_status_counts_what_stands(house: House, tmp_path: Path) -> None:
    write_cohort(tmp_path / "export", 2)
    ingest(house, tmp_path / "export", source=EXPORT)

    standing = status(house)

    assert standing.counts.series == {"accepted": 2}
    assert standing.counts.patients == 2
    assert [run.kind for run in standing.runs] == ["ingest"]
