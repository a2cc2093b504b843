"""A folder looked through: every file below it, the names of files and folders, and where links lead."""

import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medflow.domain.progress import SILENT, Progress
from medflow.errors import ConfigurationError
from medflow.verify.files import is_dicom, opened
from medflow.verify.identity import Identity, Kind
from medflow.verify.look import Hit, Looker
from medflow.verify.plant import planted
from medflow.verify.report import Finding, Proof, VerifyReport
from medflow.verify.walk import Part, parts_of
from medflow.verify.wanted import Form, Wanted, wanted

BUDGET = 0.05
"""False alarms that chance may give in one look at a folder, at most."""
SERIES_BUDGET = 1e-4
"""The same for one series: an alarm withholds it, and a night has thousands."""
COPIES = 3
"""Files that values are planted in."""
LARGEST = 1 << 31
HEAD = 1 << 16
PATIENT, STUDY, OBJECT = (0x00100020,), (0x0020000D,), (0x00080018,)
WHOSE = frozenset({PATIENT, STUDY, OBJECT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file below a folder, or a link. Its path may name a patient, so it never prints."""

    path: Path = field(repr=False)
    relative: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whom an object says it belongs to."""

    patient: str = field(repr=False)
    study: str = field(repr=False)
    uid: str = field(repr=False)


def entries(root: Path) -> tuple[Entry, ...]:
    """List the files, links and empty folders below `root`, in the order of their relative paths.

    Raises:
        ConfigurationError: it is no folder.
    """
    if not root.is_dir():
        raise ConfigurationError("the folder to look through is not there, or is no folder")
    found = []
    for folder, folders, files in os.walk(root):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        empty = [] if folders or files else [""]
        found += [Path(folder) / name for name in (*files, *links, *empty)]
    listed = [Entry(path=path, relative=path.relative_to(root).as_posix()) for path in found]
    return tuple(sorted(listed, key=lambda entry: os.fsencode(entry.relative)))


def owners(listed: tuple[Entry, ...]) -> Iterator[Owner]:
    """Read whom each DICOM object says it belongs to."""
    for entry in listed:
        head = _read(entry.path, HEAD)
        owner = _owner(parts_of(head)) if head and is_dicom(head) else None
        if owner is not None:
            yield owner


@dataclass(slots=True, kw_only=True)
class Seen:
    """What was met in files, and what must be known to tell it from chance."""

    look: Looker
    budget: float
    met: dict[int, tuple[str, tuple[Hit, ...]]] = field(default_factory=dict, repr=False)
    """Of each file in which something was met, by its number: the object's UID, and what was met."""
    unread: int = 0
    objects: int = 0
    unmatched: int = 0

    def add(self, number: int, entry: Entry, known: Callable[[Owner], bool]) -> None:
        """Look through the next file."""
        content = _read(entry.path)
        if content is None:
            self.unread += 1
            content = b""
        parts = tuple(opened(content))
        owner = _owner(parts) if is_dicom(content) else None
        self.objects += owner is not None
        self.unmatched += owner is not None and not known(owner)
        hits = self.look.look(parts, entry.relative)
        if hits:
            self.met[number] = owner.uid if owner else "", hits

    def judged(self) -> tuple[frozenset[Form], float, tuple[Finding, ...]]:
        """Give the forms that tell something, the false alarms expected of them, and what was found."""
        telling, expected = self.look.admitted(self.budget)
        return telling, expected, tuple(_findings(self.look.wanted, telling, self.met))


def look_at_files(listed: tuple[Entry, ...], identity: Identity) -> tuple[float, tuple[Finding, ...]]:
    """Look through the files of a series for its own identity; give the expected false alarms and what was found."""
    seen = Seen(look=Looker(wanted=wanted(identity)), budget=SERIES_BUDGET)
    for number, entry in enumerate(listed, 1):
        seen.add(number, entry, lambda _: True)
    _, expected, findings = seen.judged()
    return expected, findings


def verify_folder(
    listed: tuple[Entry, ...],
    identity: Identity,
    *,
    known: Callable[[Owner], bool],
    seed: int,
    unread: int = 0,
    progress: Progress = SILENT,
) -> VerifyReport:
    """Look through files for anybody's values in `identity`, and prove that the look can see.

    `known` says whether the identity of an object's owner is part of `identity`. `seed` chooses what is planted;
    `unread` counts originals that could not be read.
    """
    seen = Seen(look=Looker(wanted=wanted(identity)), budget=BUDGET, unread=unread)
    progress.start("looking at files", len(listed))
    for number, entry in enumerate(listed, 1):
        seen.add(number, entry, known)
        progress.advance()
    telling, expected, findings = seen.judged()
    look = seen.look
    return VerifyReport(
        files=len(listed),
        objects=seen.objects,
        bytes=look.scanned.header_bytes + look.scanned.pixel_bytes,
        values=Counter(value.kind for value in look.wanted.values),
        common=_told(look.wanted, telling, some=False),
        partly=_told(look.wanted, telling, some=True),
        retained=tuple(sorted(look.retained)),
        unread=seen.unread,
        unmatched=seen.unmatched,
        expected=expected,
        budget=BUDGET,
        proof=prove(look.wanted, telling, listed, seed),
        findings=findings,
    )


def _findings(
    sought: Wanted, telling: frozenset[Form], hits: Mapping[int, tuple[str, tuple[Hit, ...]]]
) -> Iterator[Finding]:
    """Turn what was met into findings: one for each kind at each place of a file."""
    uids = {value.text for value in sought.values if value.kind is Kind.UID}
    for number, (uid, met) in hits.items():
        places = {(kind, hit.place) for hit in met if hit.form in telling for kind in sought.kinds(hit.form)}
        for kind, place in sorted(places):
            yield Finding(file=number, uid="" if uid in uids else uid, kind=kind, place=place)


def _told(sought: Wanted, telling: frozenset[Form], *, some: bool) -> Mapping[Kind, int]:
    """Count the values of which some forms, but not all, tell something; or those of which none does."""
    told: Counter[int] = Counter(owner for form in telling for owner in sought.owners[form])
    every: Counter[int] = Counter(owner for forms in sought.owners for owner in forms)
    if some:
        return Counter(value.kind for number, value in enumerate(sought.values) if 0 < told[number] < every[number])
    return Counter(value.kind for number, value in enumerate(sought.values) if not told[number])


def prove(sought: Wanted, telling: frozenset[Form], listed: tuple[Entry, ...], seed: int) -> Proof:
    """Plant one value of each kind in copies of a few files, in memory, and look for them.

    A value is planted where all of its forms tell it from chance: of others nobody says that they are found.
    """
    chance = random.Random(seed)  # noqa: S311  (which values are planted is no secret)
    contents: list[bytes] = []
    for entry in chance.sample(listed, len(listed)):
        content = _read(entry.path, LARGEST)
        if content is not None and is_dicom(content) and len(contents) < COPIES:
            contents.append(content)
        if len(contents) == COPIES:
            break
    put: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for content in contents:
        for number in _chosen(sought, telling, chance):
            value = sought.values[number]
            forms = {form for form in telling if number in sought.owners[form]}
            for place, copy, name in planted(content, value):
                put[place] += 1
                met = {hit.form for hit in Looker(wanted=sought).look(opened(copy), name)}
                found[place] += bool(met & forms)
    return Proof(planted=put, found=found)


def _chosen(sought: Wanted, telling: frozenset[Form], chance: random.Random) -> Iterator[int]:
    """Choose a value of each kind that chance would not show in any of its forms."""
    common = {owner for form, forms in enumerate(sought.owners) if form not in telling for owner in forms}
    worded = {owner for form in sought.phrases for owner in sought.owners[form]} - common
    for kind in Kind:
        numbers = [number for number, value in enumerate(sought.values) if value.kind is kind and number in worded]
        if numbers:
            yield chance.choice(numbers)


def _owner(parts: Iterable[Part]) -> Owner | None:
    """Read the patient, the study and the UID that an object gives; None where it gives none of them."""
    found: dict[tuple[int, ...], str] = {}
    for part in parts:
        for path, _, start, end in part.pieces:
            if path in WHOSE:
                found[path] = part.content[start:end].decode("latin-1").strip(" \0")
    if not found:
        return None
    return Owner(patient=found.get(PATIENT, ""), study=found.get(STUDY, ""), uid=found.get(OBJECT, ""))


def _read(path: Path, most: int = LARGEST) -> bytes | None:
    """Read a file, at most so many bytes of it; of a link where it leads, of a folder nothing; None where it cannot."""
    try:
        if path.is_symlink():
            return os.fsencode(path.readlink())
        if path.is_dir():
            return b""
        if not path.is_file():
            return None  # a pipe or a device is never opened
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return file.read(min(most, size + 1))
    except OSError:
        return None
