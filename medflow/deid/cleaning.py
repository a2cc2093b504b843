"""The objects of a series, cleaned one after the other: each opened once, its frames looked at, its file in parts."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from medflow.deid.across import places_by
from medflow.deid.bodies import Bodies
from medflow.deid.burned import without_text
from medflow.deid.faceless import Faceless, faceless_by
from medflow.deid.marks import Done
from medflow.deid.object import FileParts, Opened, Originals, deidentified_parts, read_bytes
from medflow.domain.layout import IntensityFacts, Layout
from medflow.domain.series import Series


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CleanObject:
    """An object ready to be written, beside what it was made of."""

    name: str
    """Of its file: its number in the order of the series' instances."""
    original: Opened = field(repr=False)
    """With the frames as they leave."""
    parts: FileParts = field(repr=False)


class Cleaning:
    """Cleans the objects of one series in turn."""

    def __init__(
        self,
        series: Series,
        layouts: tuple[Layout, ...],
        facts: IntensityFacts,
        *,
        planar: bool,
        bodies: Bodies,
        sha256s: list[str] | None = None,
    ) -> None:
        """Look for a face first, where the profile wants none, and for text, where it blanks that.

        Originals are compared with `sha256s`, those that it has not are hashed and added; None where nobody asks.
        """
        self._series, self._planar, self._bodies, self._sha256s = series, planar, bodies, sha256s
        self._faceless = faceless_by(
            bodies.profile, self._originals(), layouts=layouts, facts=facts, modality=series.modality
        )
        self._places = places_by(bodies.profile, self._originals(), planar=planar)

    @property
    def shows_face(self) -> bool:
        """True where a face may show on what was cleaned."""
        return self._bodies.head and self._faceless is None

    def objects(self) -> Iterator[CleanObject]:
        """Clean the next object.

        Raises:
            SeriesError: it is damaged, changed while it was read, or may show text.
        """
        for number, original in enumerate(self._originals()):
            yield self._cleaned(number, original, self._faceless)

    def _cleaned(self, number: int, original: Opened, faceless: Faceless | None) -> CleanObject:
        cut: frozenset[int] = frozenset()
        if faceless is not None:
            frames, cut = faceless.cut(number, original.frames, int(original.dataset.BitsStored))
            original = replace(original, frames=frames)
        known = None if self._places is None else self._places.on(original)
        blanked = without_text(
            original.dataset, original.frames, self._bodies.profile, planar=self._planar, known=known
        )
        original = replace(original, frames=blanked.frames, changed=cut | frozenset(blanked.boxes))
        if number == 0:
            self._bodies.start(original.dataset)
        done = Done(blanked=bool(blanked.boxes), faceless=faceless is not None)
        parts = deidentified_parts(original, self._bodies, done=done)
        name = f"IM{number + 1:06d}.dcm"
        self._bodies.ledger.look(name, frames=len(original.frames), boxes=blanked.boxes, faceless=len(cut))
        return CleanObject(name=name, original=original, parts=parts)

    def _originals(self) -> Iterator[Opened]:
        """Open the originals one after the other; what was not hashed yet is hashed as it is read."""
        originals, sha256s = Originals(planar=self._planar), self._sha256s
        hashed = 0 if sha256s is None else len(sha256s)
        for number, file in enumerate(self._series.files()):
            content = read_bytes(file, sha256s[number] if sha256s is not None and number < hashed else None)
            if sha256s is not None and number >= hashed:
                sha256s.append(hashlib.sha256(content).hexdigest())
            yield originals.opened(content)
