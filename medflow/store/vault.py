"""The vault: whom a pseudonym stands for, and where a file came from. Every value is sealed; nothing is logged."""

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, Engine, Row, Table, select

from medflow.domain.digests import canonical
from medflow.domain.safe import Identity, Pseudonym, SeriesUID, StudyUID
from medflow.errors import ConfigurationError, IntegrityError, StateError
from medflow.store import vault_tables as tables
from medflow.store.columns import insert, insert_new
from medflow.store.engine import reading, writing
from medflow.store.runs import batches

KEY_BYTES = 32
NONCE_BYTES = 12
CHECK = "check"
"""Row of `meta` that only the right key opens."""


class Vault:
    """The vault's database, opened with its key. Audit before and after reading from it (law 5)."""

    def __init__(self, engine: Engine, key: bytes, *, key_version: int = 1) -> None:
        """Open the vault; the first key that opens an empty vault becomes its key.

        Raises:
            ConfigurationError: it was sealed with another key.
        """
        if len(key) != KEY_BYTES:
            raise ConfigurationError(f"a vault key has {KEY_BYTES} bytes, not {len(key)}")
        self._engine = engine
        self._cipher = AESGCM(key)
        self._key_version = key_version
        self._check_key()

    def put_identity(self, identity: Identity) -> None:
        """Remember whom a series belongs to; what is known already is left as it is."""
        key = {"uid": identity.series, "source_digest": identity.source_digest}
        value = {
            "modules": dict(identity.modules),
            "sop_instance_uids": list(identity.sop_instance_uids),
            "sop_class_uids": list(identity.sop_class_uids),
        }
        with writing(self._engine) as connection:
            there = connection.execute(select(tables.series).filter_by(**key)).first()
            if there is not None and self._opened("series", tuple(key.values()), there) == value:
                return
            row = {**key, "study": identity.study, "patient": identity.patient}
            self._put(
                connection, tables.series, [{**row, "sealed": self._sealed("series", tuple(key.values()), value)}]
            )

    def put_files(self, paths: Mapping[str, str]) -> None:
        """Remember the path (and archive member) behind each file key."""
        with writing(self._engine) as connection:
            for keys in batches(paths):
                rows = connection.execute(select(tables.file).where(tables.file.c.file_key.in_(keys)))
                known = {row.file_key: self._opened("file", (row.file_key,), row) for row in rows}
                new = [key for key in keys if known.get(key) != paths[key]]
                sealed = [{"file_key": key, "sealed": self._sealed("file", (key,), paths[key])} for key in new]
                self._put(connection, tables.file, sealed)

    def path_of(self, file_key: str) -> str:
        """Say where a file lay.

        Raises:
            StateError: the vault does not know the key.
        """
        with reading(self._engine) as connection:
            row = connection.execute(select(tables.file).where(tables.file.c.file_key == file_key)).first()
        if row is None:
            raise StateError(f"the vault holds no path for file {file_key[:12]}")
        return str(self._opened("file", (file_key,), row))

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

    def _identities(self, **same: str) -> tuple[Identity, ...]:
        order = (tables.series.c.uid, tables.series.c.source_digest)
        with reading(self._engine) as connection:
            rows = connection.execute(select(tables.series).filter_by(**same).order_by(*order)).all()
        return tuple(map(self._identity, rows))

    def _identity(self, row: Row[Any]) -> Identity:
        value = self._opened("series", (row.uid, row.source_digest), row)
        return Identity(
            patient=Pseudonym(row.patient),
            study=StudyUID(row.study),
            series=SeriesUID(row.uid),
            source_digest=row.source_digest,
            modules=value["modules"],
            sop_instance_uids=tuple(value["sop_instance_uids"]),
            sop_class_uids=tuple(value["sop_class_uids"]),
        )

    def _check_key(self) -> None:
        with reading(self._engine) as connection:
            row = connection.execute(select(tables.meta).where(tables.meta.c.name == CHECK)).first()
        if row is None:
            self._seal_check()
            return
        try:
            self._opened("meta", (CHECK,), row)
        except IntegrityError:
            raise ConfigurationError("the vault was sealed with another key: MEDFLOW_VAULT_KEY_FILE is wrong") from None

    def _seal_check(self) -> None:
        with writing(self._engine) as connection:
            used = [connection.execute(select(table).limit(1)).first() for table in (tables.series, tables.file)]
            if any(row is not None for row in used):
                raise IntegrityError("the vault's check value is gone, so its key cannot be recognised")
            sealed = self._sealed("meta", (CHECK,), "medflow vault")
            row = {"name": CHECK, "key_version": self._key_version, "sealed": sealed}
            first = insert_new(connection, tables.meta, row)
        if not first:
            self._check_key()  # another process was first: its key counts

    def _put(self, connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
        """Write rows, over what was there under their keys."""
        if not rows:
            return
        statement = insert(connection, table)
        keys = [column.name for column in table.primary_key.columns]
        replaced = {name: statement.excluded[name] for name in (*rows[0], "key_version") if name not in keys}
        statement = statement.on_conflict_do_update(index_elements=keys, set_=replaced)
        connection.execute(statement, [{**row, "key_version": self._key_version} for row in rows])

    def _sealed(self, table: str, key: Iterable[str], value: Any) -> bytes:  # noqa: ANN401
        nonce = os.urandom(NONCE_BYTES)
        text = json.dumps(value, ensure_ascii=True, allow_nan=False).encode("ascii")
        return nonce + self._cipher.encrypt(nonce, text, _place(table, key, self._key_version))

    def _opened(self, table: str, key: Iterable[str], row: Row[Any]) -> Any:  # noqa: ANN401
        sealed = bytes(row.sealed)
        nonce, text = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return json.loads(self._cipher.decrypt(nonce, text, _place(table, key, row.key_version)))
        except (InvalidTag, ValueError):
            raise IntegrityError(f"a row of the vault's table {table} was changed or moved") from None


def _place(table: str, key: Iterable[str], key_version: int) -> bytes:
    """Name the cell that a value is sealed for, so that it opens in no other."""
    return canonical(["medflow/vault", table, "sealed", list(key), key_version]).encode("ascii")
