"""The vault: whom a pseudonym stands for, and where a file came from. Every value is sealed; nothing is logged.

Forgetting a patient destroys their data key, which no copy of the vault key brings back. An older backup of the
vault's database still holds that data key, wrapped: whoever has the vault key of its time can open it. So after an
erasure that must reach the backups, rotate the vault key and destroy the older key files, or destroy the backups.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, literal, select, tuple_

from medflow.domain.safe import Identity, Pseudonym, SeriesUID, StudyUID
from medflow.errors import StateError
from medflow.store import vault_tables as tables
from medflow.store.columns import insert
from medflow.store.engine import connected
from medflow.store.runs import BATCH, batches
from medflow.store.vault_names import Names
from medflow.store.vault_room import BY_DATA_KEY, HOUSE
from medflow.store.vault_seal import sealed_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What was destroyed of a patient."""

    data_keys: int
    series: int
    files: int
    copies: tuple[str, ...]
    """File keys of the quarantine copies that nothing opens any more."""


class Vault(Names):
    """The vault's database, opened with its key. Audit before and after reading from it (law 5)."""

    def put_identity(self, identity: Identity) -> None:
        """Remember whom a series belongs to; what is known already is left as it is."""
        place = {"uid": identity.series, "source_digest": identity.source_digest}
        value = _value(identity)
        with self.writing() as connection:
            keys = self.data_keys_to_write(connection, [identity.patient])
            there = connection.execute(select(tables.series).filter_by(**place)).first()
            if there is not None and there.patient == identity.patient and there.study == identity.study:
                known = self.opened("series", tuple(place.values()), there, keys)
                if there.key_version == BY_DATA_KEY and known == value:
                    return
            row = {**place, "study": identity.study, "patient": identity.patient}
            self._put(connection, tables.series, [(row, tuple(place.values()), value)], keys)

    def put_files(self, paths: Mapping[str, str], patients: Mapping[str, Pseudonym] | None = None) -> None:
        """Remember the path (and archive member) behind each file key, and of which patient it is, where that is known.

        A file that nobody said the patient of stays with the one that it had.
        """
        said = patients or {}
        with self.writing() as connection:
            for names in batches(paths):
                rows = connection.execute(select(tables.file).where(tables.file.c.file_key.in_(names)))
                there = {row.file_key: row for row in rows}
                had = {name: row.patient for name, row in there.items()}
                owners = {name: said.get(name, had.get(name)) for name in names}
                everybody = {owner or HOUSE for owner in (*owners.values(), *had.values())}
                keys = self.data_keys_to_write(connection, sorted(everybody))
                new = [
                    ({"file_key": name, "patient": owners[name]}, (name,), paths[name])
                    for name in names
                    if not self._is_known(there.get(name), owners[name], paths[name], keys)
                ]
                self._put(connection, tables.file, new, keys)

    def path_of(self, file_key: str) -> str:
        """Say where a file lay.

        Raises:
            StateError: the vault does not know the key.
        """
        with self.reading() as connection:
            row = connection.execute(select(tables.file).where(tables.file.c.file_key == file_key)).first()
            if row is None:
                raise StateError(f"the vault holds no path for file {file_key[:12]}")
            return str(self.opened("file", (file_key,), row, self.data_keys(connection, [row.patient or HOUSE])))

    def patient_of(self, file_key: str) -> Pseudonym | None:
        """Name the patient of a file, if anybody knows; nothing is opened."""
        with self.reading() as connection:
            return connection.scalar(select(tables.file.c.patient).where(tables.file.c.file_key == file_key))

    def places(self, patients: Iterable[Pseudonym]) -> tuple[tuple[StudyUID, SeriesUID], ...]:
        """Name study and series of all that is known of some patients; nothing is opened."""
        column = tables.series.c
        query = select(column.study, column.uid).where(column.patient.in_(sorted(set(patients)))).distinct()
        with self.reading() as connection:
            rows = connection.execute(query.order_by(column.study, column.uid)).all()
        return tuple((StudyUID(row.study), SeriesUID(row.uid)) for row in rows)

    def knows(self, series: SeriesUID, source_digest: str) -> bool:
        """Tell whether an identity stands here for one revision of a series; nothing is opened."""
        query = select(tables.series.c.uid).filter_by(uid=series, source_digest=source_digest)
        with self.reading() as connection:
            return connection.execute(query).first() is not None

    def identity(self, series: SeriesUID, source_digest: str) -> Identity:
        """Say whom one revision of a series belongs to.

        Raises:
            StateError: the vault does not know it.
        """
        found = self._identities(uid=series, source_digest=source_digest)
        if not found:
            raise StateError("the vault holds no identity for that series")
        return found[0]

    def identities(
        self,
        *,
        patient: Pseudonym | None = None,
        study: StudyUID | None = None,
        series: SeriesUID | None = None,
    ) -> tuple[Identity, ...]:
        """List what is known of a patient, a study or a series: one entry for each revision of each series."""
        wanted = {"patient": patient, "study": study, "uid": series}
        given = {name: value for name, value in wanted.items() if value is not None}
        if not given:
            raise ValueError("say whose identities; the vault is not read as a whole")
        return self._identities(**given)

    def forget_files(self, file_keys: Iterable[str]) -> int:
        """Remove the paths behind some file keys, and say how many were known."""
        with self.writing() as connection:
            return sum(
                connection.execute(delete(tables.file).where(tables.file.c.file_key.in_(names))).rowcount
                for names in batches(file_keys)
            )

    def forget(self, patient: Pseudonym) -> Forgotten:
        """Destroy the data keys of a person, under each of their pseudonyms, and all that was sealed with them.

        What says that two pseudonyms are one person stays, so that a person who comes again is recognised.
        """
        with self.writing(alone=True) as connection:
            persons = self._persons(connection)
            person = persons.get(patient, patient)
            names = sorted({patient, person, *(old for old, new in persons.items() if new == person)})
            counts = {
                table.name: connection.execute(
                    delete(table).where(table.c.patient.in_(names)).returning(*table.primary_key.columns)
                ).all()
                for table in (tables.data_key, tables.series, tables.file, tables.quarantine_copy)
            }
        self._leave_no_trace()
        return Forgotten(
            data_keys=len(counts["data_key"]),
            series=len(counts["series"]),
            files=len(counts["file"]),
            copies=tuple(sorted(row.file_key for row in counts["quarantine_copy"])),
        )

    def _leave_no_trace(self) -> None:
        """Empty SQLite's journal, which may still hold the pages as they were."""
        if self._engine.dialect.name == "sqlite":
            with connected(self._engine) as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def _identities(self, **same: str) -> tuple[Identity, ...]:
        order = (tables.series.c.uid, tables.series.c.source_digest)
        with self.reading() as connection:
            rows = connection.execute(select(tables.series).filter_by(**same).order_by(*order)).all()
            return tuple(self._opened_rows(connection, rows))

    def _every_identity(self, connection: Connection) -> Iterator[Identity]:
        place = tuple_(tables.series.c.uid, tables.series.c.source_digest)
        last = ("", "")
        while rows := connection.execute(
            select(tables.series)
            .where(place > tuple_(*map(literal, last)))
            .order_by(tables.series.c.uid, tables.series.c.source_digest)
            .limit(BATCH)
        ).all():
            yield from self._opened_rows(connection, rows)
            last = (rows[-1].uid, rows[-1].source_digest)

    def _opened_rows(self, connection: Connection, rows: Iterable[Row[Any]]) -> Iterator[Identity]:
        rows = list(rows)
        keys = self.data_keys(connection, sorted({row.patient for row in rows}))
        for row in rows:
            yield _identity(row, self.opened("series", (row.uid, row.source_digest), row, keys))

    def _is_known(self, row: Row[Any] | None, patient: str | None, path: str, keys: Mapping[str, bytes]) -> bool:
        if row is None or row.patient != patient or row.key_version != BY_DATA_KEY:
            return False
        return bool(self.opened("file", (row.file_key,), row, keys) == path)

    def _before_rotation(self, connection: Connection) -> None:
        for table in (tables.series, tables.file):
            self._seal_again(connection, table, table.c.key_version != BY_DATA_KEY)

    def _hand_over(self, connection: Connection, old: Pseudonym, new: Pseudonym) -> None:
        for table in (tables.series, tables.file):
            self._seal_again(connection, table, table.c.patient == old, owner=new)
        copies = tables.quarantine_copy
        connection.execute(copies.update().where(copies.c.patient == old).values(patient=new))
        connection.execute(delete(tables.data_key).where(tables.data_key.c.patient == old))

    def _seal_again(self, connection: Connection, table: Table, which: Any, owner: str | None = None) -> None:  # noqa: ANN401  (an SQL condition)
        """Seal rows with the data key of `owner`, or of the patient that they name."""
        names = [column.name for column in table.primary_key.columns]
        while rows := connection.execute(select(table).where(which).limit(BATCH)).all():
            owners = {owner or row.patient or HOUSE for row in rows} | {row.patient or HOUSE for row in rows}
            keys = self.data_keys_to_write(connection, sorted(owners))
            new = []
            for row in rows:
                place = tuple(row._mapping[name] for name in names)  # noqa: SLF001  (SQLAlchemy's own name for it)
                columns = {name: value for name, value in row._mapping.items() if name not in SEAL}  # noqa: SLF001
                value = self.opened(table.name, place, row, keys)
                new.append(({**columns, "patient": owner or row.patient}, place, value))
            self._put(connection, table, new, keys)

    def _put(
        self,
        connection: Connection,
        table: Table,
        rows: Sequence[tuple[Mapping[str, Any], tuple[str, ...], Any]],
        keys: Mapping[str, bytes],
    ) -> None:
        """Write rows (columns, primary key, value to seal) over what was there under their keys."""
        if not rows:
            return
        sealed = [
            {
                **row,
                "key_version": BY_DATA_KEY,
                "sealed": sealed_value(
                    keys[row["patient"] or HOUSE], value, table=table.name, place=place, version=BY_DATA_KEY
                ),
            }
            for row, place, value in rows
        ]
        statement = insert(connection, table)
        names = [column.name for column in table.primary_key.columns]
        replaced = {name: statement.excluded[name] for name in sealed[0] if name not in names}
        connection.execute(statement.on_conflict_do_update(index_elements=names, set_=replaced), sealed)


SEAL = ("key_version", "sealed")


def _value(identity: Identity) -> dict[str, Any]:
    return {
        "modules": dict(identity.modules),
        "sop_instance_uids": list(identity.sop_instance_uids),
        "sop_class_uids": list(identity.sop_class_uids),
    }


def _identity(row: Row[Any], value: Mapping[str, Any]) -> Identity:
    return Identity(
        patient=Pseudonym(row.patient),
        study=StudyUID(row.study),
        series=SeriesUID(row.uid),
        source_digest=row.source_digest,
        modules=value["modules"],
        sop_instance_uids=tuple(value["sop_instance_uids"]),
        sop_class_uids=tuple(value["sop_class_uids"]),
    )
