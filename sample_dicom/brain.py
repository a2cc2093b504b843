"""A head that never lived, as T1-weighted MR after contrast medium would show it.

Axes are DICOM's (LPS, mm), 0 is mid-brain. A capsule of oil is taped to the right temple, as some sites do, so that a
flipped image can be told.
"""

from dataclasses import dataclass

from sample_dicom.chance import Chance
from sample_dicom.geometry import Vector
from sample_dicom.shapes import Bands, Column, Common, Ellipsoid, Outside, Part, Tissue, depth_at

SCALP = Tissue(t1=820)
SKULL = Tissue(t1=110)
FLUID = Tissue(t1=150)
GREY = Tissue(t1=420)
WHITE = Tissue(t1=600)
DEEP_GREY = Tissue(t1=470)
SOFT = Tissue(t1=380)
OIL = Tissue(t1=950)
OEDEMA = Tissue(t1=430)
LESION = Tissue(t1=1150)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """One person's head: parts in the order of painting, and where a lesion may sit."""

    parts: tuple[Part, ...]
    white: Ellipsoid
    fluid: tuple[Ellipsoid, ...]


def head(chance: Chance) -> Head:
    """Draw a person's head."""
    size = chance.uniform(0.94, 1.05)
    shift = (chance.uniform(-5, 5), chance.uniform(-6, 6), chance.uniform(-5, 5))
    semi = (68 * size * chance.uniform(0.97, 1.03), 84 * size, 66 * size)
    turn = chance.uniform(-0.04, 0.04)

    def shell(thickness: float) -> Ellipsoid:
        return Ellipsoid(centre=shift, semi=(semi[0] + thickness, semi[1] + thickness, semi[2] + thickness), turn=turn)

    white = shell(-9.0)
    ventricles = _ventricles(shift, size, chance)
    folds = Bands(period=17 * size, half_width=5, slope=0.6, phase=chance.uniform(0, 17))
    outer = (
        Part(shape=Column(centre=(shift[0], shift[1] + 20), semi=(55, 60), high=shift[2] - 40), tissue=SOFT),
        Part(shape=Ellipsoid(centre=_at(shift, 0, -100, -35), semi=(14, 18, 18)), tissue=SOFT),
        Part(shape=shell(13.0), tissue=SCALP),
        Part(shape=shell(8.0), tissue=SKULL),
        Part(shape=shell(2.5), tissue=FLUID),
        Part(shape=Ellipsoid(centre=_at(shift, -semi[0] - 19, -10, 5), semi=(8, 9, 12)), tissue=OIL),
    )
    inner = (
        Part(shape=shell(0.0), tissue=GREY),
        Part(shape=white, tissue=WHITE),
        Part(shape=Common(shapes=(shell(-3.0), folds, Outside(shape=shell(-14.0)))), tissue=GREY, cover=0.5),
        *_deep(shift, size),
        *(Part(shape=ventricle, tissue=FLUID) for ventricle in ventricles),
    )
    return Head(parts=(*outer, *inner), white=white, fluid=ventricles)


def lesion(chance: Chance, body: Head) -> tuple[Part, Part]:
    """Draw an enhancing lesion of 22 to 32 mm in the white matter, and the swelling around it."""
    radius = chance.uniform(11.0, 16.0)
    while True:
        centre, semi = body.white.centre, body.white.semi
        x, y, z = (c + s * chance.uniform(-0.7, 0.7) for c, s in zip(centre, semi, strict=True))
        clear = min(-depth_at(shape, (x, y, z)) for shape in body.fluid)
        if depth_at(body.white, (x, y, z)) > radius and clear > 0.5 * radius:
            break
    core = (radius, radius * chance.uniform(0.9, 1.1), radius * chance.uniform(0.9, 1.1))
    around = (core[0] + 5, core[1] + 5, core[2] + 5)
    return (
        Part(shape=Ellipsoid(centre=(x, y, z), semi=around), tissue=OEDEMA, cover=0.8),
        Part(shape=Ellipsoid(centre=(x, y, z), semi=core), tissue=LESION),
    )


def _at(shift: Vector, x: float, y: float, z: float) -> Vector:
    return (shift[0] + x, shift[1] + y, shift[2] + z)


def _ventricles(shift: Vector, size: float, chance: Chance) -> tuple[Ellipsoid, ...]:
    """Draw the lateral ventricles, wider in some people, and the third between them."""
    wide = chance.uniform(6, 11) * size
    left, right = (
        Ellipsoid(centre=_at(shift, side * 13 * size, 4, 8), semi=(wide, 34 * size, 12 * size), turn=-side * 0.1)
        for side in (1, -1)
    )
    third = Ellipsoid(centre=_at(shift, 0, 2, -6), semi=(4, 14 * size, 12))
    return (left, right, third)


def _deep(shift: Vector, size: float) -> list[Part]:
    """Paint the deep grey matter, the cerebellum and the brain stem."""
    nuclei = [
        Part(shape=Ellipsoid(centre=_at(shift, side * 24 * size, 0, -4), semi=(10, 22, 14)), tissue=DEEP_GREY)
        for side in (1, -1)
    ]
    cerebellum = Ellipsoid(centre=_at(shift, 0, 44 * size, -44 * size), semi=(44 * size, 28 * size, 22 * size))
    stem = Column(centre=(shift[0], shift[1] + 18), semi=(13, 14), high=shift[2] - 18)
    return [*nuclei, Part(shape=cerebellum, tissue=GREY), Part(shape=stem, tissue=WHITE)]
