"""The vault's keys: one for each patient that can be destroyed, and a door whose key can be changed."""

import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from medflow.domain.digests import canonical
from medflow.domain.safe import Identity, Pseudonym, SeriesUID
from medflow.errors import ConfigurationError, IntegrityError, StateError
from medflow.store import vault_tables as tables
from medflow.store.engine import open_engine, reading, writing
from medflow.store.schema import check_current, upgrade_vault
from medflow.store.vault import Vault
from medflow.store.vault_copies import copy_key, expired_copies, forget_copies, kept_copies, new_copy_key
from medflow.store.vault_names import Epoch, Renaming
from medflow.store.vault_room import BY_DATA_KEY
from tests.conftest import Database
from tests.store.made import NOON, an_identity

KEY, NEXT_KEY = b"\xfe" * 32, b"\x02" * 32
SCHEMAS = Path(__file__).parents[2] / "schemas"
QUIET = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
OURS, THEIRS = an_identity(), an_identity(patient=Pseudonym("PXYZ"), series=SeriesUID("2.25.8"))


@pytest.fixture(params=["sqlite", "postgresql"])
def first_vault(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A vault as vault_0001 left it, with rows that the vault key itself sealed."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    older = tmp_path / "older" / "medflow_schemas"
    shutil.copytree(SCHEMAS, older)
    for path in (older / "migrations" / "vault" / "versions").glob("*.py"):
        if path.name[:4] > "0001":
            path.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(older.parent)
        patch.delitem(sys.modules, "medflow_schemas", raising=False)
        upgrade_vault(url)
    sys.modules.pop("medflow_schemas", None)
    engine = open_engine(url)
    with writing(engine) as connection:
        value = {
            "modules": dict(OURS.modules),
            "sop_instance_uids": list(OURS.sop_instance_uids),
            "sop_class_uids": list(OURS.sop_class_uids),
        }
        sealed = as_the_first_did("series", [OURS.series, OURS.source_digest], value)
        row = {"uid": OURS.series, "source_digest": OURS.source_digest, "study": OURS.study, "patient": OURS.patient}
        connection.execute(tables.series.insert().values(**row, key_version=1, sealed=sealed))
        for number in range(3):
            sealed = as_the_first_did("file", [f"f{number}"], f"Zebra/{number}.dcm")
            connection.execute(
                text("INSERT INTO file VALUES (:key, 1, :sealed)"), {"key": f"f{number}", "sealed": sealed}
            )
        check = as_the_first_did("meta", ["check"], "medflow vault")
        connection.execute(tables.meta.insert().values(name="check", key_version=1, sealed=check))
    engine.dispose()
    return url


def as_the_first_did(table: str, place: list[str], value: object) -> bytes:
    """Seal a value as version 0.2.0 did."""
    nonce = os.urandom(12)
    cell = canonical(["medflow/vault", table, "sealed", place, 1]).encode("ascii")
    return nonce + AESGCM(KEY).encrypt(nonce, json.dumps(value).encode("ascii"), cell)


def next_key(_version: int, _present: bytes) -> bytes:
    """Be the successor of any key."""
    return NEXT_KEY


def rows_of(engine: Engine, name: str) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(tables.metadata.tables[name].select()).mappings()]


def test_an_upgraded_vault_opens_what_the_first_medflow_sealed_and_seals_it_anew(first_vault: str) -> None:
    upgrade_vault(first_vault)
    engine = open_engine(first_vault)
    check_current(engine, vault=True)
    before = {name: rows_of(engine, name) for name in ("series", "file")}

    vault = Vault(engine, KEY)

    assert vault.identities(patient=OURS.patient) == (OURS,)
    assert [vault.path_of(f"f{number}") for number in range(3)] == [f"Zebra/{number}.dcm" for number in range(3)]
    for name, rows in before.items():
        after = rows_of(engine, name)
        assert {row["key_version"] for row in rows} == {1}
        assert {row["key_version"] for row in after} == {BY_DATA_KEY}
        assert not {bytes(row["sealed"]) for row in rows} & {bytes(row["sealed"]) for row in after}
    Vault(engine, KEY).forget(OURS.patient)
    assert vault.identities(patient=OURS.patient) == ()
    engine.dispose()


def test_a_row_that_a_first_medflow_still_writes_is_read_and_put_under_a_data_key(vault_engine: Engine) -> None:
    vault = Vault(vault_engine, KEY)
    vault.put_files({"ours": "a.dcm"})
    with writing(vault_engine) as connection:
        sealed = as_the_first_did("file", ["late"], "Zebra/late.dcm")
        connection.execute(tables.file.insert().values(file_key="late", key_version=1, sealed=sealed))

    assert vault.path_of("late") == "Zebra/late.dcm"
    vault.rotate(next_key)
    assert vault.path_of("late") == "Zebra/late.dcm"
    assert {row["key_version"] for row in rows_of(vault_engine, "file")} == {BY_DATA_KEY}


def test_forgetting_a_patient_destroys_their_data_key_and_rows_and_nobody_elses(vault_engine: Engine) -> None:
    vault = Vault(vault_engine, KEY)
    for identity in (OURS, THEIRS):
        vault.put_identity(identity)
    vault.put_files({"a": "Zebra/1.dcm", "b": "Other/2.dcm", "c": "LIESMICH"}, {"a": OURS.patient, "b": THEIRS.patient})
    new_copy_key(vault, "a", patient=OURS.patient, expires=NOON)

    gone = vault.forget(OURS.patient)

    assert (gone.data_keys, gone.series, gone.files, gone.copies) == (1, 1, 1, ("a",))
    assert vault.identities(patient=OURS.patient) == ()
    assert vault.identities(patient=THEIRS.patient) == (THEIRS,)
    assert [vault.path_of(key) for key in "bc"] == ["Other/2.dcm", "LIESMICH"]
    assert {row["patient"] for row in rows_of(vault_engine, "data_key")} == {"", "PXYZ"}
    assert vault.forget(OURS.patient).data_keys == 0
    vault.put_identity(OURS)
    assert vault.identities(patient=OURS.patient) == (OURS,)


def test_a_patient_who_is_written_while_being_forgotten_is_there_whole_or_not_at_all(vault_engine: Engine) -> None:
    writer, eraser = Vault(vault_engine, KEY), Vault(vault_engine, KEY)

    def write() -> None:
        for number in range(15):
            writer.put_identity(an_identity(source_digest=f"{number:064x}"))

    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(write)
        while not written.done():
            eraser.forget(OURS.patient)
        written.result()

    found = writer.identities(patient=OURS.patient)
    assert eraser.forget(OURS.patient).series == len(found)
    assert not rows_of(vault_engine, "series")


def test_a_forgotten_patients_rows_from_a_backup_open_with_no_key(vault_engine: Engine) -> None:
    vault = Vault(vault_engine, KEY)
    vault.put_identity(OURS)
    (backup,) = rows_of(vault_engine, "series")
    vault.forget(OURS.patient)
    vault.put_identity(THEIRS)
    with writing(vault_engine) as connection:
        connection.execute(tables.series.insert().values(backup))

    with pytest.raises(IntegrityError, match="data key of a row of the vault's table series is gone"):
        vault.identities(patient=OURS.patient)
    vault.put_identity(an_identity(series=SeriesUID("2.25.9")))
    with pytest.raises(IntegrityError, match="changed or moved"):
        vault.identities(series=OURS.series)


def test_a_forgotten_patients_data_key_is_nowhere_in_the_file(sqlite_database: Database, tmp_path: Path) -> None:
    engine = open_engine(sqlite_database.vault_url)
    vault = Vault(engine, KEY)
    vault.put_identity(OURS)
    vault.put_files({"a": "Zebra/1.dcm"}, {"a": OURS.patient})
    secrets = [bytes(rows_of(engine, "data_key")[0]["wrapped"])]
    secrets += [bytes(row["sealed"]) for name in ("series", "file") for row in rows_of(engine, name)]

    vault.forget(OURS.patient)

    stored = b"".join(path.read_bytes() for path in tmp_path.glob("vault.db*"))
    assert not [secret for secret in secrets if secret[12:44] in stored]
    engine.dispose()


def test_a_file_that_a_patient_is_found_for_goes_under_their_data_key(vault_engine: Engine) -> None:
    vault = Vault(vault_engine, KEY)
    vault.put_files({"a": "Zebra/1.dcm"})
    vault.put_files({"a": "Zebra/1.dcm"}, {"a": OURS.patient})
    vault.put_files({"a": "Zebra/1.dcm"})

    assert vault.path_of("a") == "Zebra/1.dcm"
    assert vault.forget(OURS.patient).files == 1
    with pytest.raises(StateError, match="no path"):
        vault.path_of("a")


def test_a_new_vault_key_opens_everything_and_the_old_one_nothing(vault_engine: Engine) -> None:
    vault = Vault(vault_engine, KEY)
    vault.put_identity(OURS)
    vault.put_files({"a": "Zebra/1.dcm"})
    new_copy_key(vault, "a", patient=None, expires=NOON)
    copied = copy_key(vault, "a").key
    series = rows_of(vault_engine, "series")

    done = vault.rotate(lambda version, present: NEXT_KEY if (version, present) == (2, KEY) else KEY)

    assert (done.version, done.data_keys, done.copies) == (2, 2, 1)
    with pytest.raises(ConfigurationError, match="another key"):
        Vault(vault_engine, KEY)
    for opened in (vault, Vault(vault_engine, NEXT_KEY)):
        assert opened.version == 2
        assert opened.identities(patient=OURS.patient) == (OURS,)
        assert opened.path_of("a") == "Zebra/1.dcm"
        assert copy_key(opened, "a").key == copied
    assert rows_of(vault_engine, "series") == series


def test_a_process_that_opened_the_vault_before_its_key_was_changed_writes_nothing(vault_engine: Engine) -> None:
    stale, vault = Vault(vault_engine, KEY), Vault(vault_engine, KEY)
    stale.put_identity(OURS)
    vault.rotate(next_key)
    before = rows_of(vault_engine, "data_key")

    for attempt in (
        lambda: stale.put_identity(THEIRS),
        lambda: stale.put_files({"a": "x"}),
        lambda: stale.rotate(next_key),
        lambda: stale.identities(patient=OURS.patient),
    ):
        with pytest.raises(StateError, match="start it again"):
            attempt()
    assert rows_of(vault_engine, "data_key") == before


def test_a_rotation_that_fails_changes_nothing(vault_engine: Engine) -> None:
    vault = Vault(vault_engine, KEY)
    vault.put_identity(OURS)

    def refuse(_version: int, _present: bytes) -> bytes:
        raise ConfigurationError("no place for the key")

    with pytest.raises(ConfigurationError, match="no place"):
        vault.rotate(refuse)
    assert vault.identities(patient=OURS.patient) == (OURS,)
    assert vault.rotate(next_key).version == 2


def test_a_merged_patients_rows_are_sealed_with_the_data_key_of_the_one_that_stays(vault_engine: Engine) -> None:
    vault = Vault(vault_engine, KEY)
    for identity in (OURS, THEIRS):
        vault.put_identity(identity)
    vault.put_files({"a": "Zebra/1.dcm"}, {"a": OURS.patient})

    vault.put_alias(OURS.patient, THEIRS.patient)
    vault.put_alias(OURS.patient, THEIRS.patient)

    assert vault.aliases() == {"PABC": "PXYZ"}
    assert {identity.series for identity in vault.identities(patient=THEIRS.patient)} == {OURS.series, THEIRS.series}
    assert vault.path_of("a") == "Zebra/1.dcm"
    assert {row["patient"] for row in rows_of(vault_engine, "data_key")} == {"", "PXYZ"}
    assert vault.forget(OURS.patient).series == 2
    assert vault.aliases() == {"PABC": "PXYZ"}


NAMES = st.sampled_from([Pseudonym(f"P{letter}") for letter in "ABCDEF"])


@QUIET
@given(merges=st.lists(st.tuples(NAMES, NAMES), max_size=8))
def test_merges_never_make_a_circle_nor_a_chain(
    vault_engine: Engine, merges: list[tuple[Pseudonym, Pseudonym]]
) -> None:
    vault = Vault(vault_engine, KEY)
    with writing(vault_engine) as connection:
        connection.execute(tables.alias.delete())
    for old, new in merges:
        before = vault.aliases()
        try:
            vault.put_alias(old, new)
        except StateError:
            assert before.get(new, new) == old or before.get(old) not in {None, before.get(new, new)}
            assert vault.aliases() == before
        else:
            assert vault.aliases()[old] == before.get(new, new)
    flat = vault.aliases()
    assert not flat.keys() & set(flat.values())


def named(identity: Identity) -> tuple[tuple[Pseudonym, Pseudonym], ...]:
    """Own pseudonyms of an identity, of this epoch and the next: the name that a merge hid stands in the modules."""
    own = Pseudonym(identity.modules.get("own", identity.patient))
    return ((Pseudonym("PWRONG"), Pseudonym("PWORSE")), (own, Pseudonym(f"{own}2")))


def test_a_new_epoch_links_everybody_and_carries_merges_over(vault_engine: Engine) -> None:
    vault = Vault(vault_engine, KEY)
    vault.claim_epoch(Epoch(number=1, fingerprint="one"))
    third = an_identity(patient=Pseudonym("PQQQ"), series=SeriesUID("2.25.9"), modules={"own": "POTHER"})
    for identity in (an_identity(modules={"own": "PABC"}), THEIRS, third):
        vault.put_identity(identity)
    vault.put_alias(OURS.patient, THEIRS.patient)

    begun = vault.begin_epoch(lambda number: Renaming(fingerprint=f"key {number}", names=named))

    assert (begun.number, begun.patients, begun.aliases, begun.unknown) == (2, 2, 1, ("PQQQ",))
    assert vault.epoch() == Epoch(number=2, fingerprint="key 2")
    assert vault.linked() == {"PABC": "PABC2", "PXYZ": "PXYZ2"}
    assert vault.aliases() == {"PABC": "PXYZ", "PABC2": "PXYZ2"}
    assert vault.same_patient() == dict.fromkeys(["PABC", "PXYZ", "PABC2"], "PXYZ2")
    assert Vault(vault_engine, KEY).forget(Pseudonym("PXYZ2")).series == 2


def test_links_are_followed_through_every_epoch(vault_engine: Engine) -> None:
    vault = Vault(vault_engine, KEY)
    vault.put_links({Pseudonym("P1"): Pseudonym("P2"), Pseudonym("P3"): Pseudonym("P3")})
    vault.put_links({Pseudonym("P2"): Pseudonym("P4"), Pseudonym("P1"): Pseudonym("P9")})

    assert vault.linked() == {"P1": "P4", "P2": "P4"}


def test_the_links_between_epochs_can_be_read_with_the_key_alone(sqlite_database: Database, tmp_path: Path) -> None:
    engine = open_engine(sqlite_database.vault_url)
    Vault(engine, KEY).put_links({Pseudonym("POLD"): Pseudonym("PNEWNEWNEW")})
    engine.dispose()

    assert b"PNEWNEWNEW" not in b"".join(path.read_bytes() for path in tmp_path.glob("vault.db*"))


def test_a_process_of_an_older_epoch_writes_no_name_of_it(vault_engine: Engine) -> None:
    vault = Vault(vault_engine, KEY)
    vault.claim_epoch(Epoch(number=1, fingerprint="one"))
    stale = Vault(vault_engine, KEY)
    assert stale.epoch() == Epoch(number=1, fingerprint="one")
    vault.begin_epoch(lambda _: Renaming(fingerprint="two", names=named))

    with pytest.raises(StateError, match="start it again"):
        stale.put_identity(OURS)


def test_the_first_pseudonym_key_that_claims_the_vault_counts(vault_engine: Engine) -> None:
    first, second = Vault(vault_engine, KEY), Vault(vault_engine, KEY)
    assert first.epoch() is None

    assert first.claim_epoch(Epoch(number=1, fingerprint="one")).fingerprint == "one"
    assert second.claim_epoch(Epoch(number=1, fingerprint="two")).fingerprint == "one"


def test_no_epoch_begins_in_a_vault_that_was_never_told_of_a_key(vault_engine: Engine) -> None:
    with pytest.raises(StateError, match="does not know the present"):
        Vault(vault_engine, KEY).begin_epoch(lambda _: Renaming(fingerprint="two", names=named))


def test_the_key_of_a_copy_is_drawn_once_found_and_destroyed(vault_engine: Engine) -> None:
    vault = Vault(vault_engine, KEY)
    drawn = new_copy_key(vault, "a", patient=OURS.patient, expires=NOON)
    new_copy_key(vault, "b", patient=None, expires=NOON + timedelta(days=1))

    assert new_copy_key(vault, "a", patient=None, expires=NOON) is None
    assert copy_key(vault, "a") == drawn
    assert kept_copies(vault) == {"a", "b"}
    assert expired_copies(vault, NOON) == ("a",)
    assert forget_copies(vault, ["a", "never there"]) == 1
    with pytest.raises(StateError, match="no copy of file a is kept"):
        copy_key(vault, "a")
