"""Who is drawn: the k-th subject of a task is the same person on the same scanner, however many are drawn."""

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from sample_dicom.chance import Chance

TaskName = Literal["chest_ct", "brain_mr", "pet_ct"]

CODES: dict[str, str] = {"chest_ct": "CT", "brain_mr": "MR", "pet_ct": "PET", "awkward": "ODD"}
FINDINGS: dict[TaskName, str] = {"chest_ct": "nodule", "brain_mr": "lesion", "pet_ct": "focus"}
"""What a label of each task is called."""

_FIRST_STUDY = date(2021, 3, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One invented person and the one day they were scanned."""

    task: str
    number: int
    finding: bool
    """Whether the label says `present`."""
    sex: Literal["F", "M"]
    age: int
    weight: float
    """kg."""
    size: float
    """m."""
    study_date: date

    @property
    def patient_id(self) -> str:
        """Return an ID that nobody takes for a real one."""
        return f"SAMPLE-{CODES[self.task]}-{self.number:03}"

    @property
    def patient_name(self) -> str:
        """Return a name that nobody takes for a real one."""
        return f"Sample^{CODES[self.task].title() if self.task == 'awkward' else CODES[self.task]}^{self.number:03}"

    @property
    def birth_date(self) -> date:
        """Return the first of a month so that the age comes out right on the study date."""
        return date(self.study_date.year - self.age - 1, 1 + self.number % 12, 1 + self.number % 28)

    def chance(self, purpose: str) -> Chance:
        """Open this subject's own stream of chance for one purpose."""
        return Chance(self.task, self.number, purpose)

    def uid(self, *what: str | int) -> str:
        """Name a thing of this subject: a UID derived from a UUID-sized digest (PS3.5 B.2)."""
        return uid(self.task, self.number, *what)


def subject(task: str, number: int) -> Subject:
    """Draw the `number`-th subject (from 1) of a task.

    Subjects come in pairs, one with the finding and one without, and a pair shares its scanner (`scanner_of`): so
    neither the scanner nor the length of the sample says anything of the label.
    """
    chance = Chance(task, number, "person")
    first_has_it = Chance(task, (number - 1) // 2, "label").coin()
    sex: Literal["F", "M"] = "F" if chance.coin() else "M"
    size = round(chance.uniform(1.55, 1.72) + (0.1 if sex == "M" else 0.0), 2)
    return Subject(
        task=task,
        number=number,
        finding=first_has_it if number % 2 else not first_has_it,
        sex=sex,
        age=25 + chance.below(60),
        weight=round(size * size * chance.uniform(19.0, 29.0), 1),
        size=size,
        study_date=_FIRST_STUDY + timedelta(days=3 * number + chance.below(3)),
    )


def scanner_of(number: int, count: int) -> int:
    """Say which of `count` scanners the `number`-th subject meets: they take the pairs in turn."""
    return (number - 1) // 2 % count


def uid(*what: str | int) -> str:
    """Make a UID under 2.25 of the first 128 bits of a digest (PS3.5 B.2)."""
    digest = hashlib.sha256("/".join(("medflow sample", *map(str, what))).encode("ascii")).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"
