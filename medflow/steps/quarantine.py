"""What was set aside: listed without identity, and shown, on the record, to whoever must mend it."""

from dataclasses import dataclass
from pathlib import Path

from medflow.domain.series import FileState
from medflow.steps.copies import write_out
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


def show(house: House, key: str, *, copy_to: Path | None = None) -> Shown:
    """Look up where one file lies, and decrypt its copy into `copy_to`, a new file.

    The vault is asked only after the asking was written down.

    Raises:
        StateError: no file has that key, several begin with it, or the vault does not know it; no copy is kept, or
            something stands at `copy_to`.
        IntegrityError: the copy is damaged.
    """
    purpose = "quarantine-show" if copy_to is None else "quarantine-copy"
    with reading(house.engine) as connection:
        row = runs.file_row(connection, key)
    patient = house.vault.patient_of(row.file_key) or ""
    with opened(house, "quarantine-show") as run:
        with writing(house.engine) as connection:
            run.append(connection, "vault-read-requested", row.file_key, patient=patient, purpose=purpose)
        path = house.vault.path_of(row.file_key).encode("utf-8", "backslashreplace").decode("utf-8")
        if copy_to is not None:
            write_out(house, row.file_key, copy_to)
        with writing(house.engine) as connection:
            run.append(connection, "vault-read-done", row.file_key)
    return Shown(row=row, path=path)
