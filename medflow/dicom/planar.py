"""Planar images (CR, DX, MG, OP): what their headers say of size, display and side. A plane never is a slice."""

import itertools
import struct
from collections.abc import Mapping
from types import MappingProxyType

from medflow.dicom.geometry import SPACINGS, impossible, rescale_of
from medflow.dicom.header import Header, damaged
from medflow.dicom.objects import FOR_PROCESSING
from medflow.dicom.pixelfacts import PixelFacts, padding_of
from medflow.dicom.tags import Tag
from medflow.domain.planefacts import Intent, Lookup, PlaneFacts, SpacingSource, Window, WindowShape
from medflow.domain.series import Modality
from medflow.errors import Reason, SeriesError

GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
COLOUR = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"})
SIDES = MappingProxyType({"L": "L", "R": "R", "B": "B"})
LUT_SHAPES = frozenset({"IDENTITY", "INVERSE"})
CALIBRATIONS = frozenset({"GEOMETRY", "FIDUCIAL"})
MOST_ENTRIES = 1 << 16

VIEWS = frozenset(
    [
        *("AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "RAO", "LAO", "RPO", "LPO", "LATERAL", "LAT", "OBLIQUE"),
        *("CC", "MLO", "ML", "LM", "LMO", "SIO", "ISO", "FB", "XCC", "XCCL", "XCCM", "SPECIMEN"),
    ]
)
"""View positions that are believed (PS3.3 C.8.7.1.1, C.8.11.7, PS3.16 CID 4010 and 4014); no other text is kept."""

CODED_VIEWS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("399348003", "R-10206"), "AP"),
        **dict.fromkeys(("272479007", "R-10214", "R-40888"), "PA"),
        **dict.fromkeys(("399173006", "R-10236"), "LL"),
        **dict.fromkeys(("399198007", "R-10232"), "RL"),
        **dict.fromkeys(("399067008", "R-102CD"), "LATERAL"),
        **dict.fromkeys(("399356000", "R-40985"), "RAO"),
        **dict.fromkeys(("399135007", "R-10220"), "LAO"),
        **dict.fromkeys(("399038007", "R-10210"), "RPO"),
        **dict.fromkeys(("399006002", "R-10212"), "LPO"),
        **dict.fromkeys(("399162004", "R-10242"), "CC"),
        **dict.fromkeys(("399368009", "R-10226"), "MLO"),
        **dict.fromkeys(("399260004", "R-10224"), "ML"),
        **dict.fromkeys(("399352003", "R-10228"), "LM"),
        **dict.fromkeys(("399099002", "R-10230"), "LMO"),
        **dict.fromkeys(("399196006", "R-10244"), "FB"),
        **dict.fromkeys(("399188001", "R-102D0"), "SIO"),
        **dict.fromkeys(("441555000", "R-40AAA"), "ISO"),
        **dict.fromkeys(("399192008", "R-1024A"), "XCCL"),
        **dict.fromkeys(("399101009", "R-1024B"), "XCCM"),
        **dict.fromkeys(("119376003", "G-8300", "127457009", "G-8310"), "SPECIMEN"),
    }
)
"""View codes of SNOMED CT, and the codes under which it was known before."""


def planes_of(header: Header, sop_class_uid: str, modality: Modality, facts: PixelFacts) -> tuple[PlaneFacts, ...]:
    """Read what a planar image says of itself, once for each of its frames.

    Raises:
        SeriesError: size, display or colour cannot be right, or several frames where the class has one.
    """
    if facts.frames > 1 and modality is not Modality.OP:
        raise damaged("NumberOfFrames")
    photometric, samples = _colours(header)
    grey = samples == 1
    slope, intercept, _ = rescale_of(header)
    modality_lut = _lookup(header, Tag.ModalityLUTSequence, signed=facts.signed) if grey else None
    below_zero = modality_lut is None and _lowest(facts, slope) + intercept < 0
    spacing, source = _spacing(header)
    return tuple(
        PlaneFacts(
            file=0,
            frame=frame,
            rows=facts.rows,
            columns=facts.columns,
            samples=samples,
            bits=facts.bits_stored,
            signed=facts.signed,
            photometric=photometric,
            intent=_intent(header, sop_class_uid),
            spacing=spacing,
            spacing_source=source,
            calibration=_one_of(header, Tag.PixelSpacingCalibrationType, CALIBRATIONS),
            slope=slope,
            intercept=intercept,
            modality_lut=modality_lut,
            voi_lut=_lookup(header, Tag.VOILUTSequence, signed=below_zero) if grey else None,
            window=_window(header) if grey else None,
            lut_shape=_one_of(header, Tag.PresentationLUTShape, LUT_SHAPES),
            padding=padding_of(header, signed=facts.signed) if grey else None,
            laterality=SIDES.get(header.text(Tag.ImageLaterality) or header.text(Tag.Laterality)),
            view=_view(header),
        )
        for frame in range(facts.frames)
    )


def _lowest(facts: PixelFacts, slope: float) -> float:
    """Give slope x stored value where that is least."""
    low = -(1 << facts.bits_stored - 1) if facts.signed else 0
    return min(slope * low, slope * (low + (1 << facts.bits_stored) - 1))


def _colours(header: Header) -> tuple[str, int]:
    """Give the photometric interpretation that decoded values have, and the samples of a pixel."""
    photometric = header.text(Tag.PhotometricInterpretation)
    samples = header.integer(Tag.SamplesPerPixel) or 1
    if photometric in GREY and samples == 1:
        return photometric, 1
    if photometric in COLOUR and samples == 3:  # noqa: PLR2004
        return "RGB", 3
    if photometric in GREY | COLOUR:
        raise damaged("SamplesPerPixel")
    raise SeriesError(Reason.COLOUR_IMAGE, "PhotometricInterpretation")


def _intent(header: Header, sop_class_uid: str) -> Intent:
    """Tell what an image was stored for: the class decides, and what the header adds must not contradict it.

    Classes that know no intent (CR, ophthalmic photographs) are for presentation.
    """
    intent = Intent.PROCESSING if sop_class_uid in FOR_PROCESSING else Intent.PRESENTATION
    if header.text(Tag.PresentationIntentType) not in {"", intent}:
        raise damaged("PresentationIntentType")
    return intent


def _spacing(header: Header) -> tuple[tuple[float, float] | None, SpacingSource | None]:
    """Read the distance between pixels (PS3.3 10.7.1): PixelSpacing if it is there, since it may be calibrated.

    A spacing that is there and cannot be right is refused; so are pixels that are not square and have no size.
    """
    for tag, source in ((Tag.PixelSpacing, SpacingSource.PIXEL), (Tag.ImagerPixelSpacing, SpacingSource.IMAGER)):
        if header.raw(tag).strip(b" \0"):
            values = header.decimals(tag) or ()
            if len(values) != 2 or not all(SPACINGS[0] <= value <= SPACINGS[1] for value in values):  # noqa: PLR2004
                raise impossible(tag.name)
            return (values[0], values[1]), source
    if len(set(header.decimals(Tag.PixelAspectRatio) or ())) > 1:
        raise impossible("PixelAspectRatio")
    return None, None


def _window(header: Header) -> Window | None:
    """Read the first window (PS3.3 C.11.2.1.2); without a function it is linear."""
    if not header.raw(Tag.WindowCenter).strip(b" \0"):
        return None
    centers, widths = header.decimals(Tag.WindowCenter), header.decimals(Tag.WindowWidth)
    shape = header.text(Tag.VOILUTFunction) or WindowShape.LINEAR.value
    if shape not in set(WindowShape):
        raise damaged("VOILUTFunction")
    least = 1.0 if shape == WindowShape.LINEAR else 0.0
    if centers is None or widths is None or len(centers) != len(widths) or not widths[0] > 0 or widths[0] < least:
        raise damaged("WindowWidth")
    return Window(center=centers[0], width=widths[0], shape=WindowShape(shape))


def _lookup(header: Header, tag: Tag, *, signed: bool) -> Lookup | None:
    """Read the first table of a sequence (PS3.3 C.11.1.1, C.11.2.1.1).

    It must rise or fall throughout: tables that are for looking at do, and bytes that say something else do not.
    """
    if not header.items(tag):
        return None
    item = header.items(tag)[0]
    descriptor = item.integers(Tag.LUTDescriptor)
    if len(descriptor) != 3 or not 8 <= descriptor[2] <= 16:  # noqa: PLR2004
        raise damaged("LUTDescriptor")
    count = descriptor[0] or MOST_ENTRIES
    entries = _entries(item, count, descriptor[2])
    steps = [later - earlier for earlier, later in itertools.pairwise(entries)]
    if max(entries) >> descriptor[2] or (min(steps, default=0) < 0 < max(steps, default=0)):
        raise damaged("LUTData")
    first = descriptor[1] - (1 << 16) if signed and descriptor[1] >> 15 else descriptor[1]
    return Lookup(first=first, bits=descriptor[2], entries=struct.pack(f"<{count}H", *entries))


def _entries(item: Header, count: int, bits: int) -> tuple[int, ...]:
    """Read entries of 16 bits; of 8 bits where there is a byte for each (PS3.5 8.3)."""
    raw = item.raw(Tag.LUTData)
    if len(raw) == 2 * count:
        return struct.unpack(f"{item.order}{count}H", raw)
    if bits == 8 and len(raw) == count + count % 2:  # noqa: PLR2004
        return tuple(raw[:count])
    raise damaged("LUTData")


def _view(header: Header) -> str | None:
    """Read the view position, else what the view code means; None for a view that is in no list of ours."""
    position = header.text(Tag.ViewPosition).upper()
    if position in VIEWS:
        return position
    codes = header.items(Tag.ViewCodeSequence)
    return CODED_VIEWS.get(codes[0].text(Tag.CodeValue)) if codes else None


def _one_of(header: Header, tag: Tag, known: frozenset[str]) -> str | None:
    value = header.text(tag)
    return value if value in known else None
