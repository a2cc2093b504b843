"""New keys: whatever happens while one is put in place, the house opens, and nobody is named by accident."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from medflow.deid.keys import new_key, read_key, write_new_key
from medflow.domain.safe import Pseudonym
from medflow.domain.task import Task
from medflow.errors import ConfigurationError, StateError
from medflow.steps import audit, predictions, status
from medflow.steps.cohort import freeze
from medflow.steps.house import House, Places, make, open_house
from medflow.steps.ingest import ingest
from medflow.steps.keys import new_epoch, rotate
from medflow.steps.purpose import stated
from medflow.steps.run import opened
from medflow.steps.score import score
from tests.steps.conftest import EXPORT, outside
from tests.steps.exports import write_cohort, write_series
from tests.steps.killed import places_in

ROOT = Path(__file__).parents[2]
WHY = stated("the old key left the house with a backup")
PATIENTS = ("PAT-000", "PAT-001")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A house of two patients, in one folder, closed."""
    folder = tmp_path_factory.mktemp("base")
    write_cohort(folder / "export", len(PATIENTS))
    with closing(open_house(places_in(folder / "data"), outside())) as house:
        ingest(house, folder / "export", source=EXPORT)
    return folder / "data"


def killed_copies(verb: str, base: Path, out: Path) -> list[Path]:
    """Run a verb once for each instant that it can be killed at; the last copy is of the run that lived."""
    command = [sys.executable, "-m", "tests.steps.killed", verb, str(base), str(out)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120, env={**os.environ, "PYTHONPATH": str(ROOT)})  # noqa: S603  (our own worker)
    return sorted(out.iterdir(), key=lambda path: int(path.name))


def names_of(house: House) -> list[str]:
    """Open every identity, and name the patients' IDs."""
    found = [house.vault.identities(patient=house.pseudonyms.aliases.get(p, p)) for p in pseudonyms(house)]
    return sorted({one.modules["00100020"]["Value"][0] for identities in found for one in identities})


def pseudonyms(house: House) -> list[Pseudonym]:
    """Name the patients that the main database knows."""
    with house.engine.connect() as connection:
        return [row.patient for row in connection.exec_driver_sql("SELECT DISTINCT patient FROM series")]


def test_a_rotation_that_is_killed_at_any_instant_leaves_a_vault_that_opens(base: Path, tmp_path: Path) -> None:
    copies = killed_copies("rotate", base, tmp_path)

    assert len(copies) > 6
    versions = []
    for copy in copies:
        with closing(open_house(places_in(copy), outside())) as house:
            versions.append(house.vault.version)
            assert names_of(house) == list(PATIENTS)
            assert not [path for path in (copy / "keys").iterdir() if path.stat().st_mode & 0o077]
            assert not audit.verify(house).faults
            rotate(house)
            assert names_of(house) == list(PATIENTS)
    assert versions == sorted(versions)
    assert set(versions) == {1, 2}


def test_a_new_epoch_that_is_killed_at_any_instant_is_begun_or_is_not(base: Path, tmp_path: Path) -> None:
    copies = killed_copies("new-epoch", base, tmp_path)

    begun = set()
    for copy in copies:
        with closing(open_house(places_in(copy), outside())) as house:
            old = pseudonyms(house)
            renamed = {house.pseudonyms.patient(name, "", "")[0] for name in PATIENTS}
            begun.add(renamed.isdisjoint(old))
            assert set(map(house.same_patient.get, old)) == (renamed if renamed.isdisjoint(old) else {None})
            assert names_of(house) == list(PATIENTS)
            assert new_epoch(house, WHY).patients == len(PATIENTS)
    assert begun == {True, False}


@pytest.fixture
def one_folder(tmp_path: Path) -> Iterator[House]:
    """A house of two patients in one folder, on SQLite, with their export beside it."""
    write_cohort(tmp_path / "export", len(PATIENTS))
    with closing(open_house(places_in(tmp_path / "data"), outside())) as house:
        ingest(house, tmp_path / "export", source=EXPORT)
        yield house


def again(house: House) -> House:
    """Open the house as another process would."""
    return open_house(places_in(house.data), outside())


def test_a_rotation_keeps_the_old_key_and_changes_no_pseudonym(one_folder: House) -> None:
    house, keys = one_folder, one_folder.data / "keys"
    old, named = read_key(keys / "vault.key"), house.pseudonyms.patient("PAT-000", "", "")

    assert rotate(house).data_keys == len(PATIENTS)
    assert rotate(house).version == 3

    assert read_key(keys / "vault.key.1") == old
    assert {path.name for path in keys.iterdir()} == {
        *("vault.key", "vault.key.1", "vault.key.2"),
        *("pseudonym.key", "audit.key"),
    }
    with closing(again(house)) as opened:
        assert opened.pseudonyms.patient("PAT-000", "", "") == named
        assert names_of(opened) == list(PATIENTS)
    kinds = [event["kind"] for event in audit.events(house, subject=None, run=None, limit=100)]
    assert kinds.count("vault-key-rotated") == 2


def test_databases_from_before_a_change_of_keys_say_which_file_opens_them(one_folder: House, tmp_path: Path) -> None:
    keys = one_folder.data / "keys"
    one_folder.close()
    shutil.copytree(one_folder.data, tmp_path / "backup")
    for change in (rotate, lambda house: new_epoch(house, WHY)):
        with closing(again(one_folder)) as house:
            change(house)
    for path in (tmp_path / "backup").glob("*.db*"):
        shutil.copy(path, one_folder.data / path.name)

    for name in ("vault.key", "pseudonym.key"):
        with pytest.raises(ConfigurationError, match=rf"{name}\.1 beside it is the right one"):
            again(one_folder)
        shutil.copy(keys / f"{name}.1", keys / name)
    again(one_folder).close()


def test_a_vault_key_from_elsewhere_is_not_rotated_away(one_folder: House) -> None:
    file = one_folder.data / "keys" / "vault.key"
    file.write_bytes(new_key())

    with pytest.raises(ConfigurationError, match="not the key that is in use"):
        rotate(one_folder)
    with pytest.raises(ConfigurationError, match="another key"):
        again(one_folder)


def test_a_pseudonym_key_that_is_not_the_houses_is_refused_with_advice(one_folder: House) -> None:
    file = one_folder.data / "keys" / "pseudonym.key"
    file.write_bytes(new_key())

    with pytest.raises(ConfigurationError, match="keys new-epoch"):
        again(one_folder)


def test_a_pseudonym_key_that_is_not_the_houses_is_refused_when_the_vault_is_lost_too(one_folder: House) -> None:
    lose_vault(one_folder)
    (one_folder.data / "keys" / "pseudonym.key").write_bytes(new_key())
    make(places_in(one_folder.data))

    with pytest.raises(ConfigurationError, match="not the one that the patients here were named with"):
        again(one_folder)


def lose_vault(house: House) -> None:
    """Delete the vault's database."""
    house.close()
    for path in house.data.glob("vault.db*"):
        path.unlink()


def test_after_a_new_epoch_the_same_export_comes_in_under_names_that_the_vault_links(
    one_folder: House, tmp_path: Path
) -> None:
    old = pseudonyms(one_folder)
    done = new_epoch(one_folder, WHY)

    assert (done.epoch, done.patients, done.unlinked) == (2, 2, ())
    with pytest.raises(StateError, match="start this process again"):
        ingest(one_folder, tmp_path / "export", source=EXPORT)
    with closing(again(one_folder)) as house:
        assert ingest(house, tmp_path / "export", source=EXPORT).series.new == 2
        both, same = pseudonyms(house), house.same_patient
        assert len(both) == 4
        assert {same.get(name, name) for name in both} == set(both) - set(old)
        assert [former.patient("PAT-000", "", "")[0] in old for former in house.former] == [True]
        (told,) = (e for e in audit.events(house, subject=None, run=done.run, limit=99) if e["kind"] == "epoch-begun")
        assert told["detail"]["patients"] == 2
        assert not audit.verify(house).faults


def test_a_patient_who_was_forgotten_by_the_vault_is_linked_when_they_come_again(
    one_folder: House, tmp_path: Path
) -> None:
    gone = one_folder.pseudonyms.patient("PAT-000", "", "")[0]
    one_folder.vault.forget(gone)
    assert new_epoch(one_folder, WHY).patients == 1

    with closing(again(one_folder)) as house:
        assert gone not in house.same_patient
        ingest(house, tmp_path / "export", source=EXPORT)
        assert house.same_patient[gone] == house.pseudonyms.patient("PAT-000", "", "")[0]


def test_merges_hold_in_a_new_epoch(one_folder: House) -> None:
    old, new = (one_folder.pseudonyms.patient(name, "", "")[0] for name in PATIENTS)
    one_folder.vault.put_alias(old, new)

    assert new_epoch(one_folder, WHY).aliases == 1

    with closing(again(one_folder)) as house:
        assert len({house.pseudonyms.patient(name, "", "")[0] for name in PATIENTS}) == 1
        assert len({house.same_patient[name] for name in (old, new)}) == 1


def test_a_patient_of_two_epochs_lands_in_one_part_of_a_split(trained: House, tmp_path: Path, ball_task: Task) -> None:
    new_epoch(trained, WHY)
    with closing(open_house(places_of(trained, tmp_path), outside())) as house:
        ingest(house, tmp_path / "export", source=EXPORT)
        with opened(house, "cohort") as run:
            cohort, _ = freeze(run, ball_task)

        parts: dict[str, set[str]] = {}
        for example in cohort.members:
            parts.setdefault(house.same_patient.get(Pseudonym(example.patient), Pseudonym(example.patient)), set()).add(
                example.part
            )
        assert len(cohort.members) == 2 * len(parts)
        assert {len(part) for part in parts.values()} == {1}


def places_of(house: House, folder: Path) -> Places:
    """Name the house again that `trained` opened."""
    return Places(
        data=house.data,
        main_url=f"sqlite:///{folder}/main.db",
        vault_url=f"sqlite:///{folder}/vault.db",
        keys=house.keys,
    )


def test_without_its_vault_the_house_scores_and_tells_as_before(trained: House, tmp_path: Path) -> None:
    before = [one.record()["patient"] for one in predictions.listed(trained)]
    trained.close()
    (tmp_path / "vault.db").unlink()

    with closing(open_house(places_of(trained, tmp_path), outside())) as house:
        assert score(house, "ball").scored > 0
        assert len(predictions.listed(house)) > len(before)
        assert status.status(house).counts.patients > 0
        assert not audit.verify(house).faults
        for attempt in (lambda: house.vault, lambda: house.pseudonyms, lambda: ingest(house, tmp_path, source=EXPORT)):
            with pytest.raises(StateError, match="there is no vault"):
                attempt()


def test_a_vault_that_cannot_be_reached_or_is_empty_stops_only_who_asks(one_folder: House, postgres_url: str) -> None:
    nowhere = "postgresql+psycopg://nobody@/vault?host=/nonexistent"
    for url, said in ((nowhere, "check MEDFLOW_VAULT_URL"), (postgres_url, "there is no vault")):
        with closing(open_house(replace(places_in(one_folder.data), vault_url=url), outside())) as house:
            assert status.status(house).counts.patients == len(PATIENTS)
            with pytest.raises(StateError, match=said):
                house.vault.identities(patient=Pseudonym("P"))


@pytest.mark.parametrize("key_too", [False, True])
def test_a_lost_vault_is_filled_again_by_the_next_ingest_with_the_same_names(
    one_folder: House, tmp_path: Path, *, key_too: bool
) -> None:
    before = pseudonyms(one_folder)
    lose_vault(one_folder)
    if key_too:
        (one_folder.data / "keys" / "vault.key").unlink()

    made = make(places_in(one_folder.data))

    assert any("empty vault" in word for word in made)
    assert ("the vault key" in made) is key_too
    with closing(again(one_folder)) as house:
        report = ingest(house, tmp_path / "export", source=EXPORT)
        assert (report.series.accepted, report.series.new) == (2, 0)
        assert pseudonyms(house) == before
        assert names_of(house) == list(PATIENTS)


def test_an_ingest_says_which_key_named_the_patients(one_folder: House, tmp_path: Path) -> None:
    write_series(tmp_path / "export" / "late", patient="PAT-777")
    ingest(one_folder, tmp_path / "export", source=EXPORT)

    told = audit.events(one_folder, subject="", run=None, limit=100)
    keys = {event["detail"]["pseudonym_key"] for event in told if "pseudonym_key" in event["detail"]}
    assert keys == {one_folder.pseudonyms.fingerprint}
    assert read_key(one_folder.keys.pseudonym).hex() not in str(told)


def test_a_key_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_new_key(tmp_path / "key", b"k" * 32)
    with pytest.raises(ConfigurationError, match="never replaced"):
        write_new_key(tmp_path / "key", b"n" * 32)

    assert read_key(tmp_path / "key") == b"k" * 32
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
