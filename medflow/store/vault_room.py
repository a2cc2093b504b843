"""The room that the vault is: its door (the vault key), the data keys behind it, and a new key for the door.

Each patient's rows are sealed with a data key of the patient's own, and the vault key wraps the data keys only. So a
destroyed data key makes all of a patient's rows unreadable for ever, and a new vault key touches no other row.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, Table, bindparam, select, update

from medflow.errors import ConfigurationError, IntegrityError, StateError
from medflow.store import engine as doors
from medflow.store import vault_tables as tables
from medflow.store.columns import insert, insert_new
from medflow.store.vault_seal import KEY_BYTES, new_data_key, opened_value, sealed_value, unwrapped, wrapped

CHECK = "check"
"""Row of `meta` that only the right key opens."""
FIRST, SECOND = "medflow vault", "medflow vault 2"
"""What stands there: the first medflow sealed every row with the vault key, the second has data keys."""
BY_DATA_KEY = 0
"""`key_version` of a row that its patient's data key seals."""
HOUSE = ""
"""Whose data key seals what belongs to nobody known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """What a new vault key was given to."""

    version: int
    data_keys: int
    copies: int
    """Keys of quarantine copies."""


class Room(ABC):
    """The vault's database behind its key."""

    def __init__(self, engine: Engine, key: bytes) -> None:
        """Open the vault; the first key that opens an empty vault becomes its key.

        Raises:
            ConfigurationError: it was sealed with another key.
        """
        if len(key) != KEY_BYTES:
            raise ConfigurationError(f"a vault key has {KEY_BYTES} bytes, not {len(key)}")
        self._engine = engine
        self._key = key
        self._version = 1
        self._seen: dict[str, bytes] = {}
        """Rows of `meta` as they were when this process read them."""
        if self._check_key() == FIRST:
            self._to_data_keys()

    @property
    def version(self) -> int:
        """Number of the vault key: 1, and one more with each rotation."""
        return self._version

    def rotate(self, prepare: Callable[[int, bytes], bytes]) -> Rotated:
        """Wrap every data key with a new vault key, in one transaction; no other row is touched.

        `prepare` gets the new version and the present key, and gives the new key, which it has made sure not to lose:
        once the transaction is committed, nothing else opens the vault.

        Raises:
            StateError: another process changed the vault's keys since this one opened it.
        """
        with self.writing(alone=True) as connection:
            version = self._version + 1
            key = prepare(version, self._key)
            self._before_rotation(connection)
            data_keys = self._wrap_anew(connection, tables.data_key, key, version)
            copies = self._wrap_anew(connection, tables.quarantine_copy, key, version)
            meta = self._meta_anew(connection, key, version)
        self._key, self._version, self._seen = key, version, meta
        return Rotated(version=version, data_keys=data_keys, copies=copies)

    @contextmanager
    def writing(self, *, alone: bool = False) -> Iterator[Connection]:
        """Open one transaction that writes, in the knowledge that the vault's keys are still the ones we hold.

        `alone` keeps every other writer out until it ends. What is overwritten or removed leaves no copy in a SQLite
        file (PostgreSQL: see the runbook).

        Raises:
            StateError: another process changed the vault's keys.
        """
        with doors.writing(self._engine) as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA secure_delete = ON")
            rows = connection.execute(select(tables.meta).with_for_update(read=not alone)).all()
            self._refuse_changed_keys({row.name: bytes(row.sealed) for row in rows})
            seen = dict(self._seen)
            try:
                yield connection
            except BaseException:
                self._seen = seen
                raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open one transaction that only reads."""
        with doors.reading(self._engine) as connection:
            yield connection

    def data_keys(self, connection: Connection, patients: Collection[str]) -> dict[str, bytes]:
        """Unwrap the data keys of patients; one that has none is left out."""
        rows = connection.execute(select(tables.data_key).where(tables.data_key.c.patient.in_(patients)))
        return {row.patient: self.unwrapped("data_key", [row.patient], row) for row in rows}

    def data_keys_to_write(self, connection: Connection, patients: Collection[str]) -> dict[str, bytes]:
        """Unwrap the data keys of patients, make those that are missing, and keep them until the transaction ends."""
        query = select(tables.data_key).where(tables.data_key.c.patient.in_(patients)).with_for_update(read=True)
        for _ in range(2):  # a second look, where another process made one in between
            keys = {row.patient: self.unwrapped("data_key", [row.patient], row) for row in connection.execute(query)}
            for patient in sorted(set(patients) - keys.keys()):
                key = new_data_key()
                row = {"patient": patient, **self.wrapped("data_key", [patient], key)}
                if insert_new(connection, tables.data_key, row):
                    keys[patient] = key
            if keys.keys() >= set(patients):
                return keys
        raise StateError("a patient was forgotten while something was written for them; try again")

    def wrapped(self, table: str, place: Collection[str], key: bytes) -> dict[str, Any]:
        """Wrap a key with the vault key: the columns that hold it."""
        sealed = wrapped(self._key, key, table=table, place=place, version=self._version)
        return {"key_version": self._version, "wrapped": sealed}

    def unwrapped(self, table: str, place: Collection[str], row: Row[Any]) -> bytes:
        """Unwrap the key of a row.

        Raises:
            StateError: it was wrapped with a newer vault key than this process holds.
            IntegrityError: it was changed or moved.
        """
        if row.key_version > self._version:
            raise StateError(STALE)
        return unwrapped(self._key, bytes(row.wrapped), table=table, place=place, version=row.key_version)

    def opened(self, table: str, place: Collection[str], row: Row[Any], keys: Mapping[str, bytes]) -> Any:  # noqa: ANN401
        """Open a row's value with its patient's data key; or, as version 1 sealed it, with the vault key.

        Raises:
            IntegrityError: the data key is gone, or the value was changed or moved.
        """
        key = keys.get(row.patient or HOUSE) if row.key_version == BY_DATA_KEY else self._key
        if key is None:
            raise IntegrityError(f"the data key of a row of the vault's table {table} is gone")
        return opened_value(key, bytes(row.sealed), table=table, place=place, version=row.key_version)

    def meta(self, connection: Connection, name: str) -> Any | None:  # noqa: ANN401
        """Open a value of the vault's own; None where there is none of that name."""
        row = connection.execute(select(tables.meta).where(tables.meta.c.name == name)).first()
        if row is None:
            return None
        if row.key_version > self._version:
            raise StateError(STALE)
        value = opened_value(self._key, bytes(row.sealed), table="meta", place=[name], version=row.key_version)
        self._seen.setdefault(name, bytes(row.sealed))
        return value

    def put_meta(self, connection: Connection, name: str, value: Any) -> None:  # noqa: ANN401
        """Write a value of the vault's own, over what was there. Every other process must open the vault again."""
        sealed = sealed_value(self._key, value, table="meta", place=[name], version=self._version)
        row = {"key_version": self._version, "sealed": sealed}
        statement = insert(connection, tables.meta).values(name=name, **row)
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=row))
        self._seen[name] = sealed

    @abstractmethod
    def _before_rotation(self, connection: Connection) -> None:
        """Seal with data keys what the vault key itself still seals."""

    def _refuse_changed_keys(self, meta: Mapping[str, bytes]) -> None:
        if any(meta.get(name) != sealed for name, sealed in self._seen.items()):
            raise StateError(STALE)

    def _wrap_anew(self, connection: Connection, table: Table, key: bytes, version: int) -> int:
        (name,) = table.primary_key.columns
        rows = connection.execute(select(table)).all()
        changed = [
            {
                "row": row[0],
                "key_version": version,
                "wrapped": wrapped(
                    key, self.unwrapped(table.name, [row[0]], row), table=table.name, place=[row[0]], version=version
                ),
            }
            for row in rows
        ]
        if changed:
            connection.execute(update(table).where(name == bindparam("row")), changed)
        return len(changed)

    def _meta_anew(self, connection: Connection, key: bytes, version: int) -> dict[str, bytes]:
        seen = {}
        for row in connection.execute(select(tables.meta)).all():
            place = [row.name]
            value = opened_value(self._key, bytes(row.sealed), table="meta", place=place, version=row.key_version)
            seen[row.name] = sealed_value(key, value, table="meta", place=place, version=version)
            said = update(tables.meta).where(tables.meta.c.name == row.name)
            connection.execute(said.values(key_version=version, sealed=seen[row.name]))
        return seen

    def _check_key(self) -> str:
        """See that the key fits, and read how the rows are sealed; an empty vault takes the key for its own."""
        with self.reading() as connection:
            row = connection.execute(select(tables.meta).where(tables.meta.c.name == CHECK)).first()
        if row is None:
            return self._seal_check()
        try:
            value = opened_value(self._key, bytes(row.sealed), table="meta", place=[CHECK], version=row.key_version)
        except IntegrityError:
            raise ConfigurationError("the vault was sealed with another key: MEDFLOW_VAULT_KEY_FILE is wrong") from None
        self._version = row.key_version
        self._seen[CHECK] = bytes(row.sealed)
        return str(value)

    def _seal_check(self) -> str:
        with doors.writing(self._engine) as connection:
            filled = (tables.series, tables.file, tables.data_key)
            if any(connection.execute(select(table).limit(1)).first() is not None for table in filled):
                raise IntegrityError("the vault's check value is gone, so its key cannot be recognised")
            sealed = sealed_value(self._key, SECOND, table="meta", place=[CHECK], version=1)
            first = insert_new(connection, tables.meta, {"name": CHECK, "key_version": 1, "sealed": sealed})
        if not first:
            return self._check_key()  # another process was first: its key counts
        self._seen[CHECK] = sealed
        return SECOND

    def _to_data_keys(self) -> None:
        """Seal what the first medflow sealed with data keys, once and for all."""
        try:
            with self.writing(alone=True) as connection:
                self._before_rotation(connection)
                self.put_meta(connection, CHECK, SECOND)
        except StateError:
            if self._check_key() == FIRST:  # else another process was first
                raise


def key_check(engine: Engine) -> tuple[int, Callable[[bytes], bool]]:
    """Give the version of the vault's key, and what tells whether a key is that one; an empty vault takes any."""
    with doors.reading(engine) as connection:
        row = connection.execute(select(tables.meta).where(tables.meta.c.name == CHECK)).first()

    if row is None:
        return 1, lambda _: True
    sealed, version = bytes(row.sealed), row.key_version

    def fits(key: bytes) -> bool:
        try:
            opened_value(key, sealed, table="meta", place=[CHECK], version=version)
        except IntegrityError:
            return False
        return True

    return version, fits


STALE = "the vault's keys were changed since this process opened it; start it again"
