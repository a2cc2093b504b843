"""What somebody who knows says of a patient, a study or a series."""

from dataclasses import dataclass

from medflow.domain.digests import natural_id
from medflow.domain.task import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One statement. It is never changed: a better one is another version or another source."""

    level: Level
    subject: str
    """Pseudonym, or pseudonymous study or series UID, by `level`."""
    name: str
    value: str
    source: str
    version: str

    @property
    def id(self) -> str:
        """Name the row by its natural key: who said what kind of thing about whom, in which version."""
        return natural_id("lab_", "label", [self.level.value, self.subject, self.name, self.source, self.version])
