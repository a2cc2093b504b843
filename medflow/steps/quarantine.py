"""What was set aside: listed without identity, and shown, on the record, to whoever must mend it."""

from dataclasses import dataclass

from medflow.domain.series import FileState
from medflow.steps.house import House
from medflow.steps.run import opened
from medflow.store import runs
from medflow.store.engine import reading, writing
from medflow.store.runs import FileRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One file of the quarantine and where it lies. The path may name a patient."""

    row: FileRow
    path: str
    """Of a member of an archive "archive!/member"; bytes that are no UTF-8 show as escapes."""


def listed(house: House) -> tuple[FileRow, ...]:
    """Give every file that stands in quarantine, by its key."""
    with reading(house.engine) as connection:
        return runs.files(connection, state=FileState.QUARANTINED)


def show(house: House, key: str) -> Shown:
    """Look up where one file lies. The vault is asked only after the asking was written down.

    Raises:
        StateError: no file has that key, several begin with it, or the vault does not know it.
    """
    with reading(house.engine) as connection:
        row = runs.file_row(connection, key)
    with opened(house, "quarantine-show") as run:
        with writing(house.engine) as connection:
            run.append(connection, "vault-read-requested", row.file_key, purpose="quarantine-show")
        path = house.vault.path_of(row.file_key).encode("utf-8", "backslashreplace").decode("utf-8")
        with writing(house.engine) as connection:
            run.append(connection, "vault-read-done", row.file_key)
    return Shown(row=row, path=path)
