"""The vault: what goes in comes out, only with the right key, and nothing of it can be read in the file."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from medflow.domain.safe import Pseudonym, SeriesUID
from medflow.errors import ConfigurationError, IntegrityError, StateError
from medflow.store.engine import open_engine, reading, writing
from medflow.store.vault import Vault
from tests.conftest import Database
from tests.store.made import an_identity

KEY, OTHER_KEY = b"\xfe" * 32, b"\x01" * 32
QUIET = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PATHS = st.text(st.characters(codec=None), max_size=20)  # lone surrogates too: names that are no UTF-8


def test_an_identity_comes_out_as_it_went_in(vault_engine: Engine) -> None:
    Vault(vault_engine, KEY).put_identity(an_identity())
    vault = Vault(vault_engine, KEY)
    assert vault.identity(SeriesUID("2.25.7"), "d" * 64) == an_identity()
    for same in ({"patient": "PABC"}, {"study": "2.25.3"}, {"series": "2.25.7"}):
        assert vault.identities(**same) == (an_identity(),)  # type: ignore[arg-type]  # NewTypes of text
    assert vault.identities(patient=Pseudonym("PXYZ")) == ()


@QUIET
@given(modules=st.dictionaries(st.text(max_size=8), JSON, max_size=4), uids=st.lists(st.text(), max_size=3))
def test_any_identity_comes_out_as_it_went_in(vault_engine: Engine, modules: dict[str, Any], uids: list[str]) -> None:
    vault = Vault(vault_engine, KEY)
    identity = an_identity(modules=modules, sop_instance_uids=tuple(uids))
    vault.put_identity(identity)
    assert vault.identity(identity.series, identity.source_digest) == identity


@QUIET
@given(paths=st.dictionaries(st.text("0123456789abcdef", min_size=32, max_size=32), PATHS, max_size=5))
def test_any_path_comes_out_as_it_went_in(vault_engine: Engine, paths: dict[str, str]) -> None:
    vault = Vault(vault_engine, KEY)
    vault.put_files(paths)
    assert {key: vault.path_of(key) for key in paths} == paths


def test_putting_the_same_twice_changes_no_byte(vault_engine: Engine) -> None:
    vault = Vault(vault_engine, KEY)
    paths = {f"{number:032x}": f"patient {number}/1.dcm" for number in range(1200)}
    vault.put_files(paths)
    vault.put_identity(an_identity())
    before = rows(vault_engine)
    vault.put_files(paths)
    vault.put_identity(an_identity())
    assert rows(vault_engine) == before
    assert len(before) == 1202


def rows(engine: Engine) -> list[Any]:
    with reading(engine) as connection:
        tables = (
            "SELECT file_key, sealed FROM file ORDER BY 1",
            "SELECT uid, sealed FROM series",
            "SELECT * FROM meta",
        )
        return [tuple(row) for table in tables for row in connection.execute(text(table))]


def test_a_file_that_moved_is_found_where_it_is_now(vault_engine: Engine) -> None:
    vault = Vault(vault_engine, KEY)
    vault.put_files({"a": "old", "b": "stays"})
    vault.put_files({"a": "new"})
    assert [vault.path_of(key) for key in "ab"] == ["new", "stays"]


def test_revisions_of_a_series_share_its_uid(vault_engine: Engine) -> None:
    vault = Vault(vault_engine, KEY)
    second = an_identity(source_digest="e" * 64, sop_instance_uids=("1", "2", "3"))
    vault.put_identity(an_identity())
    vault.put_identity(second)
    assert vault.identities(series=SeriesUID("2.25.7")) == (an_identity(), second)


def test_a_wrong_key_is_recognised_at_once(vault_engine: Engine) -> None:
    Vault(vault_engine, KEY)
    with pytest.raises(ConfigurationError, match="another key: MEDFLOW_VAULT_KEY_FILE"):
        Vault(vault_engine, OTHER_KEY)
    with pytest.raises(ConfigurationError, match="32 bytes, not 5"):
        Vault(vault_engine, b"short")


def test_a_vault_whose_check_value_is_gone_takes_no_new_key(vault_engine: Engine) -> None:
    Vault(vault_engine, KEY).put_files({"a": "path"})
    with writing(vault_engine) as connection:
        connection.execute(text("DELETE FROM meta"))
    with pytest.raises(IntegrityError, match="check value is gone"):
        Vault(vault_engine, OTHER_KEY)


def test_a_sealed_value_opens_in_no_other_row(vault_engine: Engine) -> None:
    vault = Vault(vault_engine, KEY)
    vault.put_files({"a": "path of a", "b": "path of b"})
    with writing(vault_engine) as connection:
        connection.execute(text("UPDATE file SET sealed = (SELECT sealed FROM file WHERE file_key = 'b')"))
    assert vault.path_of("b") == "path of b"
    with pytest.raises(IntegrityError, match="table file was changed or moved"):
        vault.path_of("a")


def test_what_the_vault_does_not_know_is_said(vault_engine: Engine) -> None:
    vault = Vault(vault_engine, KEY)
    with pytest.raises(StateError, match="no path for file feedfeedfeed"):
        vault.path_of("feed" * 8)
    with pytest.raises(StateError, match="no identity"):
        vault.identity(SeriesUID("2.25.1"), "d" * 64)
    with pytest.raises(ValueError, match="whose"):
        vault.identities()


def test_nothing_of_an_identity_can_be_read_in_the_file_or_in_a_repr(sqlite_database: Database, tmp_path: Path) -> None:
    engine = open_engine(sqlite_database.vault_url)
    vault = Vault(engine, KEY)
    vault.put_identity(an_identity())
    vault.put_files({"a": "exports/Zebra^Quagga/1.dcm"})
    engine.dispose()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("vault.db*"))
    for secret in (b"Zebra", b"Quagga", b"1.2.3.4", KEY):
        assert secret not in stored
    assert "Zebra" not in repr(an_identity())
    assert "Zebra" not in repr(vault)
