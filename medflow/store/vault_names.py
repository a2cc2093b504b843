"""Which pseudonyms are one person: merged records, and the epochs of the pseudonym key."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, Table, select

from medflow.domain.safe import Identity, Pseudonym
from medflow.errors import StateError
from medflow.store import vault_tables as tables
from medflow.store.columns import insert_new
from medflow.store.runs import batches
from medflow.store.vault_room import BY_DATA_KEY, HOUSE, Room
from medflow.store.vault_seal import opened_value, sealed_value

EPOCH = "pseudonym-key"
"""Row of `meta` that knows the pseudonym key by its fingerprint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """A pseudonym key's time: everything named in it was named with one key."""

    number: int
    fingerprint: str
    """Keyed value that only the same key gives again; it helps nobody to guess the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renaming:
    """What a new epoch calls people."""

    fingerprint: str
    names: Callable[[Identity], tuple[tuple[Pseudonym, Pseudonym], ...]] = field(repr=False)
    """Own pseudonym of an identity in the present epoch and in the next, merges aside: all that may be meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What a new epoch carried over."""

    number: int
    patients: int
    aliases: int
    unknown: tuple[Pseudonym, ...]
    """Patients and merged pseudonyms that the vault's identities do not name again."""


class Names(Room):
    """The pseudonyms that stand for others. None of it is identity, so that it outlives a patient's erasure."""

    def epoch(self) -> Epoch | None:
        """Read which pseudonym key the house was named with; None in a vault that was never told."""
        with self.reading() as connection:
            return self._epoch(connection)

    def claim_epoch(self, first: Epoch) -> Epoch:
        """Remember the pseudonym key, unless one is known already; give the one that counts."""
        with self.writing(alone=True) as connection:
            known = self._epoch(connection)
            if known is None:
                self._put_epoch(connection, first)
        return known or first

    def put_alias(self, old: Pseudonym, new: Pseudonym) -> None:
        """Let `new` stand for `old` from now on, and seal what is known of `old` with the data key of `new`.

        Raises:
            StateError: both are one already the other way round, or `old` stands for somebody else.
        """
        with self.writing(alone=True) as connection:
            known = self._flat(connection, tables.alias)
            target = known.get(new, new)
            if target == old:
                raise StateError("these two records are merged already, the other way round, or they are one")
            if known.get(old, target) != target:
                raise StateError("the record that should go is merged with another one already")
            self._put_names(connection, tables.alias, {old: target})
            self._hand_over(connection, old, target)

    def aliases(self) -> Mapping[Pseudonym, Pseudonym]:
        """Give the pseudonym that stands for each merged one, never through a third."""
        with self.reading() as connection:
            return self._flat(connection, tables.alias)

    def put_links(self, links: Mapping[Pseudonym, Pseudonym]) -> None:
        """Remember which pseudonym of the present epoch continues one of an older; what is known already stays."""
        with self.writing() as connection:
            self._put_names(connection, tables.link, links)

    def linked(self) -> Mapping[Pseudonym, Pseudonym]:
        """Give the present epoch's pseudonym for each of an older one, merges aside."""
        with self.reading() as connection:
            return self._flat(connection, tables.link)

    def same_patient(self) -> Mapping[Pseudonym, Pseudonym]:
        """Give the pseudonym that stands for the person today, for each one that is not it."""
        with self.reading() as connection:
            return self._persons(connection)

    def begin_epoch(self, prepare: Callable[[int], Renaming]) -> Begun:
        """Link every pseudonym of the vault with that of a new pseudonym key, and carry the merges over.

        `prepare` gets the number of the new epoch and gives its names; it has made sure not to lose the key: once the
        transaction is committed, the house opens with no other.

        Raises:
            StateError: the vault was never told of the present key, or another process changed the keys.
        """
        with self.writing(alone=True) as connection:
            present = self._epoch(connection)
            if present is None:
                raise StateError("the vault does not know the present pseudonym key; open the house with it first")
            number = present.number + 1
            renaming = prepare(number)
            persons = self._persons(connection)
            links: dict[Pseudonym, Pseudonym] = {}
            unknown: set[Pseudonym] = set()
            for identity in self._every_identity(connection):
                person = persons.get(identity.patient, identity.patient)
                meant = [pair for pair in renaming.names(identity) if persons.get(pair[0], pair[0]) == person]
                links.update(meant[:1])
                if not meant:
                    unknown.add(identity.patient)
            merged, linked = self._flat(connection, tables.alias), self._flat(connection, tables.link)
            carried = {links[old]: links[new] for old, new in merged.items() if old in links and new in links}
            gone = {old for old in merged if old not in links and old not in linked}
            self._put_names(connection, tables.link, links)
            self._put_names(connection, tables.alias, carried)
            seen = dict(self._seen)
            self._put_epoch(connection, Epoch(number=number, fingerprint=renaming.fingerprint))
        self._seen = seen  # whoever still names patients with the old key, this process too, writes no more
        known = tuple(sorted(unknown | gone))
        return Begun(number=number, patients=len(links), aliases=len(carried), unknown=known)

    @abstractmethod
    def _every_identity(self, connection: Connection) -> Iterator[Identity]:
        """Open every identity that the vault holds."""

    @abstractmethod
    def _hand_over(self, connection: Connection, old: Pseudonym, new: Pseudonym) -> None:
        """Seal the rows of one patient with the data key of another."""

    def _epoch(self, connection: Connection) -> Epoch | None:
        value = self.meta(connection, EPOCH)
        return None if value is None else Epoch(number=value["number"], fingerprint=value["fingerprint"])

    def _put_epoch(self, connection: Connection, epoch: Epoch) -> None:
        self.put_meta(connection, EPOCH, {"number": epoch.number, "fingerprint": epoch.fingerprint})

    def _put_names(self, connection: Connection, table: Table, names: Mapping[Pseudonym, Pseudonym]) -> None:
        new = {old: name for old, name in names.items() if old != name}
        for some in batches(new):
            known = set(connection.scalars(select(table.c.old).where(table.c.old.in_(some))))
            key = self.data_keys_to_write(connection, [HOUSE])[HOUSE]
            for old in some:
                if old not in known:
                    sealed = sealed_value(key, new[old], table=table.name, place=[old], version=BY_DATA_KEY)
                    insert_new(connection, table, {"old": old, "sealed": sealed})

    def _flat(self, connection: Connection, table: Table) -> dict[Pseudonym, Pseudonym]:
        """Follow every pseudonym of a table to its end."""
        rows = connection.execute(select(table).order_by(table.c.old)).all()
        key = self.data_keys(connection, [HOUSE]).get(HOUSE, b"") if rows else b""
        names: dict[Pseudonym, Pseudonym] = {
            Pseudonym(row.old): opened_value(
                key, bytes(row.sealed), table=table.name, place=[row.old], version=BY_DATA_KEY
            )
            for row in rows
        }
        return {old: _end(old, (names,)) for old in names}

    def _persons(self, connection: Connection) -> dict[Pseudonym, Pseudonym]:
        """Follow every pseudonym through the epochs first, and then through the merges."""
        both = (self._flat(connection, tables.link), self._flat(connection, tables.alias))
        return {old: _end(old, both) for names in both for old in names}


def _end(name: Pseudonym, tables_of_names: tuple[Mapping[Pseudonym, Pseudonym], ...]) -> Pseudonym:
    """Follow a pseudonym until nothing stands for it any more; a circle ends where it begins again."""
    seen = {name}
    while True:
        following = next((names[name] for names in tables_of_names if name in names), name)
        if following in seen:
            return name
        seen.add(following)
        name = following
