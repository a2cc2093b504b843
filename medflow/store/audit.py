"""The audit trail: lines that are tied to one another by hashes, and a signed head that says how many there are."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Row, select, update

from medflow.domain.audit import START, AuditEvent, line_hash
from medflow.domain.digests import canonical, instant
from medflow.errors import ConfigurationError, IntegrityError
from medflow.store import tables
from medflow.store.columns import insert

COPIES = ("actor", "kind", "run", "subject", "code", "prev")
"""Columns that repeat what the line says, for whoever asks in SQL."""
KEY_BYTES = 32
ROWS_AT_ONCE = 1000
NAMED_ONE_BY_ONE = 100
"""Missing rows that are named each; more in a row are named as one gap."""


class Signer:
    """Signs the head of the trail with Ed25519, so that whoever lacks the key cannot write a new end."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ConfigurationError(f"an audit key has {KEY_BYTES} bytes, not {len(key)}")
        self._key = Ed25519PrivateKey.from_private_bytes(key)

    def signature(self, seq: int, last: str) -> str:
        """Sign that row `seq`, whose hash is `last`, is the last one; hex."""
        return self._key.sign(canonical([seq, last]).encode("ascii")).hex()

    def signed(self, seq: int, last: str, signature: str) -> bool:
        """Tell whether `signature` says that of this row."""
        try:
            self._key.public_key().verify(bytes.fromhex(signature), canonical([seq, last]).encode("ascii"))
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with the trail. `seq` is 0 where it is the head."""

    seq: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What verification found. Note `head` elsewhere: it is the only proof against a trail restored from a backup."""

    rows: int
    faults: tuple[Fault, ...]
    head: tuple[int, str]
    """(seq, hash) of the last row, as the head says."""


def append(connection: Connection, event: AuditEvent, signer: Signer) -> int:
    """Add a line in the caller's transaction, and say its number.

    It locks the head until the transaction ends, so that every other writer waits: append last.
    """
    head = connection.execute(select(tables.audit_head).with_for_update()).first()
    if head is None:
        raise IntegrityError("the head of the audit trail is gone; nothing can be recorded")
    seq, prev = int(head.seq) + 1, head.hash
    line = event.line(seq, prev)
    last = line_hash(line)
    copies = json.loads(line)
    row = {"seq": seq, "line": line, "hash": last, "at": event.at, **{name: copies[name] for name in COPIES}}
    connection.execute(insert(connection, tables.audit).values(row))
    moved = {"seq": seq, "hash": last, "signature": signer.signature(seq, last)}
    connection.execute(update(tables.audit_head).where(tables.audit_head.c.id == 1).values(moved))
    return seq


def events(
    connection: Connection,
    *,
    limit: int = 50,
    subject: str | None = None,
    run: str | None = None,
    kind: str | None = None,
) -> list[dict[str, Any]]:
    """Read the latest lines about something, oldest first."""
    column = tables.audit.c
    same = ((column.subject, subject), (column.run, run), (column.kind, kind))
    query = select(column.line).where(*(name == value for name, value in same if value is not None))
    lines = connection.scalars(query.order_by(column.seq.desc()).limit(limit)).all()
    return [json.loads(line) for line in reversed(lines)]


def verify(connection: Connection, signer: Signer) -> AuditReport:
    """Check every line, its copies, the chain and the head, and name each row that is not as it was written.

    The walk runs backwards from the signed head: each good line vouches for the hash of the line before it, so a
    changed row is known by its successor and its innocent neighbours are not blamed.
    """
    if connection.dialect.name == "postgresql" and connection.get_isolation_level() == "READ COMMITTED":
        connection.execute(select(tables.audit_head.c.seq).with_for_update())  # or rows could come between two looks
    head = connection.execute(select(tables.audit_head)).first()
    query = select(tables.audit).order_by(tables.audit.c.seq.desc())
    rows = connection.execute(query.execution_options(yield_per=ROWS_AT_ONCE))
    walk = _Walk()
    faults = [*_head_faults(connection, head, signer), *walk.faults(rows, head)]
    ordered = tuple(sorted(faults, key=lambda fault: fault.seq))
    return AuditReport(rows=walk.rows, faults=ordered, head=(0, START) if head is None else (head.seq, head.hash))


def _head_faults(connection: Connection, head: Row[Any] | None, signer: Signer) -> Iterator[Fault]:
    if head is None:
        yield Fault(seq=0, what="the head is gone: nobody can say how many rows there were")
        return
    if head.seq == 0:
        if connection.execute(select(tables.run.c.id).limit(1)).first() is not None:
            yield Fault(seq=0, what="the trail is empty although runs are recorded")
        if head.hash != START:
            yield Fault(seq=0, what="the head of an empty trail names a row")
    elif not signer.signed(head.seq, head.hash, head.signature):
        yield Fault(seq=0, what="the signature of the head is wrong: it was changed, or signed with another key")


class _Walk:
    """The state of one walk from the last row to the first."""

    def __init__(self) -> None:
        self.rows = 0
        self._next = 0
        """Number of the row that was looked at before, one higher."""
        self._vouched: str | None = None
        """Hash that a good successor says the next row has; None where there is none to say so."""

    def faults(self, rows: Iterable[Row[Any]], head: Row[Any] | None) -> Iterator[Fault]:
        """Name what is wrong with the rows, given newest first."""
        limit = None
        if head is not None:
            limit, self._next, self._vouched = head.seq, head.seq + 1, head.hash
        for row in rows:
            self.rows += 1
            if limit is not None and row.seq > limit:
                yield Fault(seq=row.seq, what="the head does not know of this row")
                continue
            if head is None and self.rows == 1:
                self._next = row.seq + 1
            if row.seq == self._next:
                yield Fault(seq=row.seq, what="there is another row of this number")
                continue
            yield from self._gap(row.seq)
            yield from self._row(row)
            self._next = row.seq
        yield from self._gap(0)

    def _gap(self, seq: int) -> Iterator[Fault]:
        """Name the rows between the one before and `seq`."""
        missing = range(seq + 1, self._next)
        if missing:
            self._vouched = None
        if len(missing) > NAMED_ONE_BY_ONE:
            yield Fault(seq=missing[0], what=f"the rows from here to {missing[-1]} are missing")
            return
        yield from (Fault(seq=number, what="the row is missing") for number in missing)

    def _row(self, row: Row[Any]) -> Iterator[Fault]:
        own = _hashed(row.line)
        vouched, said = self._vouched, _said(row.line)
        good = own == (row.hash if vouched is None else vouched)
        if good:
            self._vouched = said.get("prev")
            if row.seq == 1 and self._vouched != START:
                yield Fault(seq=1, what="the first row does not start the chain")
            yield from (
                Fault(seq=row.seq, what=f"column {name} differs from the line") for name in _differing(row, said)
            )
            return
        if own != row.hash:
            yield Fault(seq=row.seq, what="the line is not the one that was hashed: it was changed")
        else:
            yield Fault(seq=row.seq, what="the line and its hash are not the ones that the next row remembers")
        # of a changed row, what two places still agree on may be believed
        self._vouched = row.prev if row.prev == said.get("prev") and row.hash == vouched else None


def _hashed(line: str) -> str | None:
    try:
        return line_hash(line)
    except UnicodeEncodeError:
        return None


def _said(line: str) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _differing(row: Row[Any], said: dict[str, Any]) -> Iterator[str]:
    """Name the columns of a row that do not repeat its line."""
    if _hashed(row.line) != row.hash:
        yield "hash"
    if said.get("seq") != row.seq:
        yield "seq"
    if said.get("at") != instant(row.at):
        yield "at"
    yield from (name for name in COPIES if said.get(name) != getattr(row, name))
