"""How many images, slices or time points a header announces; `medflow.dicom.completeness` says what that proves."""

from medflow.dicom.header import Header
from medflow.dicom.tags import Tag
from medflow.dicom.vendors import PHILIPS_IMAGING

GE_SERIES, GE_RELATION = (0x0025, "GEMS_SERS_01"), (0x0021, "GEMS_RELA_01")
DECIMALS = (Tag.ImagesInAcquisition, Tag.NumberOfTemporalPositions, Tag.NumberOfSeriesRelatedInstances)
INTEGERS = (Tag.NumberOfSlices, Tag.InConcatenationNumber, Tag.InConcatenationTotalNumber)
OF_SERIES_TYPE = {
    "DYNAMIC": (Tag.NumberOfTimeSlices,),
    "GATED": (Tag.NumberOfRRIntervals, Tag.NumberOfTimeSlots),
}
"""Which counts multiply NumberOfSlices (PS3.3 C.8.9.4.1.9); in other series they mean beds, or nothing."""
HIGHEST = 10**6
"""A count above this is damage, not a count."""


def counts_of(header: Header) -> tuple[tuple[str, int], ...]:
    """Read how many images, slices or time points a header announces, sorted by keyword."""
    found = {tag.name: value for tag in DECIMALS if (value := header.decimal(tag)) is not None}
    kind = next(iter(header.texts(Tag.SeriesType)), "").upper()
    for tag in (*INTEGERS, *OF_SERIES_TYPE.get(kind, ())):
        found.update((tag.name, value) for value in header.integers(tag)[:1])
    blocks = header.blocks()
    if GE_SERIES in blocks:
        found.update(("ImagesInSeries", n) for n in header.integers(blocks[GE_SERIES] | 0x07, wide=True)[:1])
    if GE_RELATION in blocks:
        found.update(("LocationsInAcquisition", n) for n in header.integers(blocks[GE_RELATION] | 0x4F)[:1])
    if PHILIPS_IMAGING in blocks:
        base = blocks[PHILIPS_IMAGING]
        found.update(("NumberOfSlicesMR", n) for n in header.integers(base | 0x18, wide=True)[:1])
        found.update(("NumberOfDynamicScans", n) for n in (header.decimals(base | 0x81) or ())[:1])
    return tuple(sorted((keyword, int(n)) for keyword, n in found.items() if 1 <= n <= HIGHEST and n == int(n)))
