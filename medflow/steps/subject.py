"""What is measured: one model on one part of one cohort, and who looked at that part before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from medflow.domain.cohort import FrozenCohort, Member, age_band
from medflow.domain.evaluation import test_digest
from medflow.domain.model import Model
from medflow.domain.task import Part
from medflow.errors import ConfigurationError, StateError
from medflow.learning.bundle import Bundle, load_bundle
from medflow.steps import cohort as cohorts
from medflow.steps.house import House
from medflow.steps.score import chosen_models
from medflow.store import cohorts as cohort_rows
from medflow.store import evaluations as rows
from medflow.store import models
from medflow.store import series as series_rows
from medflow.store.engine import reading

FLATTERED = {
    Part.TRAIN: "the weights were learned from it",
    Part.SELECT: "the best epoch was chosen by it",
    Part.CALIBRATE: "temperature and threshold were found on it",
}
"""Why the figures of a part flatter the model that it was used for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is to be measured: one model on one part of one cohort."""

    model: Model
    bundle: Bundle
    cohort: FrozenCohort
    part: Part
    own: bool
    """True where the model was trained on other parts of this cohort."""

    @property
    def members(self) -> tuple[Member, ...]:
        """Those of the part, in the cohort's order."""
        return tuple(member for member in self.cohort.members if member.part == self.part.value)

    @property
    def name(self) -> str:
        """How messages call the model."""
        return f"{self.model.name}:{self.model.version}"

    @property
    def unseen(self) -> bool:
        """True where to look is to open: whatever the model was not made from."""
        return self.part is Part.TEST or not self.own

    @property
    def test_digest(self) -> str:
        """Name what is looked at, whatever cohort it stands in."""
        return test_digest(tuple(member.example() for member in self.members))


def subject_of(house: House, model: str, part: Part, cohort: str | None) -> Subject:
    """Find what is to be measured, and refuse a cohort that shares patients with what the model was made from."""
    chosen = chosen_models(house, model)[0]
    bundle = load_bundle(house.models / chosen.folder, chosen.model_digest)
    own = _own_cohort(house, chosen)
    measured_on = own if cohort is None else cohorts.found(house, cohort)
    subject = Subject(
        model=chosen, bundle=bundle, cohort=measured_on, part=part, own=measured_on.digest == chosen.cohort_digest
    )
    if not subject.own:
        cohorts.checked_for(bundle.task, measured_on)
        _refuse_shared(house, subject, own)
    if not subject.members:
        raise StateError(f"the cohort has nobody in its {part.value} part")
    return subject


def _own_cohort(house: House, model: Model) -> FrozenCohort:
    """Give the cohort that a model was trained on; of one older than frozen cohorts, what its examples tell."""
    with reading(house.engine) as connection:
        frozen = cohort_rows.cohort_of(connection, model.cohort_digest)
        if frozen is not None:
            return frozen
        examples = models.examples(connection, model.id)
        known = {one.series_id: series_rows.series_row(connection, one.series_id) for one in examples}
    members = tuple(
        Member(
            **{name: getattr(one, name) for name in one.__slots__},
            study=known[one.series_id].study or "",
            site=known[one.series_id].site or "",
            scanner=known[one.series_id].scanner or "",
            sex=known[one.series_id].sex,
            age_band=age_band(known[one.series_id].age),
            slice_thickness=known[one.series_id].slice_thickness,
        )
        for one in examples
    )
    return FrozenCohort(
        task=model.name,
        task_digest=model.task_digest,
        labels={},
        dealing={},
        left_out={},
        members=members,
        at=model.at,
    )


def _refuse_shared(house: House, subject: Subject, own: FrozenCohort) -> None:
    """Refuse to measure on patients, or on images, that the model was made from.

    Raises:
        ConfigurationError: some are; the message says how many.
    """
    persons = house.same_patient
    made_from = [member for member in own.members if member.part != Part.TEST.value]
    patients, images = _known_by(made_from, persons)
    theirs, pictured = _known_by(subject.members, persons)
    if shared := len(patients & theirs):
        raise ConfigurationError(
            f"{shared} of the {len(theirs)} patients of that part stand in the parts that {subject.name} was made "
            "from; measure it on a cohort of other patients"
        )
    if images & pictured:
        raise ConfigurationError(
            f"{len(images & pictured)} images of that part stand in the parts that {subject.name} was made from, "
            "under other patients; measure it on other images"
        )


def _known_by(members: Sequence[Member], persons: Mapping[Any, Any]) -> tuple[set[str], set[str]]:
    return {persons.get(one.patient, one.patient) for one in members}, {one.input_digest for one in members}


def openings_said(house: House, subject: Subject, *, until: datetime | None = None) -> list[str]:
    """Say in sentences who looked at a part so far, or by a moment; nothing of a part that a model is made from."""
    if not subject.unseen:
        return []
    with reading(house.engine) as connection:
        known = [one for one in rows.openings(connection) if until is None or one.at <= until]
        digests = sorted({one.cohort_digest for one in known if one.test_digest != subject.test_digest})
        others = [one for digest in digests if (one := cohort_rows.cohort_of(connection, digest)) is not None]
    here = [one for one in known if one.test_digest == subject.test_digest]
    patients = {member.patient for member in subject.members}
    sharing = {digest for cohort in others for digest, theirs in _parts(cohort).items() if theirs & patients}
    overlapping = sum(one.test_digest in sharing for one in known if one.test_digest != subject.test_digest)
    mine = next((one for one in here if one.model_id == subject.model.id), None)
    return [
        f"{len(here)} model{'s' * (len(here) != 1)} opened this test part so far"
        + ("." if mine is None else f"; {subject.name} did on {mine.at:%Y-%m-%d %H:%M} UTC."),
        f"Test parts that share patients with it were opened {overlapping} times.",
    ]


def _parts(cohort: FrozenCohort) -> dict[str, set[str]]:
    """Give the patients of each part of a cohort, by what names the part when it is opened."""
    found = {}
    for part in Part:
        inside = [member for member in cohort.members if member.part == part.value]
        found[test_digest(tuple(member.example() for member in inside))] = {member.patient for member in inside}
    return found


def warnings(subject: Subject) -> list[str]:
    """Say what the part that was measured does to the figures."""
    if not subject.own:
        return ["This is another cohort than the one that the model was trained on: an external test."]
    if subject.part is Part.TEST:
        return []
    return [f"These figures flatter: this is the {subject.part.value} part, and {FLATTERED[subject.part]}."]
