"""What the stored numbers of a series mean, gathered before de-identification takes the attributes away."""

from collections.abc import Iterable
from typing import TypeVar

from medflow.dicom.pet import pet_facts
from medflow.domain.layout import IntensityFacts
from medflow.domain.series import Modality, Series
from medflow.errors import Reason, SeriesError

_Value = TypeVar("_Value")

PER_PLANE = IntensityFacts(photometric="", rescale_type=None, rescaled=False, padding=None)
"""A series of planar images has none of its own: each plane has its facts (`PlaneFacts`)."""


def intensity_facts(series: Series) -> IntensityFacts:
    """State what all objects of `series` agree on.

    Raises:
        SeriesError: they contradict each other in what decides a voxel's value.
    """
    if series.modality.planar:
        return PER_PLANE
    instances = series.instances
    pets = [instance.pet for instance in instances if instance.pet is not None]
    complete = len(pets) == len(instances)
    return IntensityFacts(
        photometric=_one({instance.photometric for instance in instances}, "PhotometricInterpretation")
        or "MONOCHROME2",
        rescale_type=_rescale_type(series),
        rescaled=all(instance.rescaled for instance in instances),
        padding=_padding(series),
        pet=pet_facts(pets) if series.modality is Modality.PT and complete else None,
    )


def _rescale_type(series: Series) -> str | None:
    """Name the RescaleType. Hounsfield units beside others in one CT are a contradiction; MR and PET keep none then."""
    types = {instance.rescale_type for instance in series.instances}
    if series.modality is not Modality.CT:
        return types.pop() if len(types) == 1 else None
    return _one(types - {None}, "RescaleType")


def _padding(series: Series) -> tuple[int, int] | None:
    """Name the padding of a CT, which alone is replaced; MR and PET keep what was stored."""
    if series.modality is not Modality.CT:
        return None
    return _one({instance.padding for instance in series.instances} - {None}, "PixelPaddingValue")


def _one(values: Iterable[_Value], keyword: str) -> _Value | None:
    found = list(values)
    if len(found) > 1:
        raise SeriesError(Reason.MIXED_SERIES, keyword)
    return found[0] if found else None
