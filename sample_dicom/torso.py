"""A chest and upper abdomen that never lived: its organs as shapes, for CT and PET alike.

Axes are DICOM's (LPS, mm): x grows to the patient's left, y to the back, z to the head; 0 is mid-chest. The heart and
the stomach lie on the left and the liver on the right, so that a flipped image can be told.
"""

from dataclasses import dataclass

from sample_dicom.chance import Chance
from sample_dicom.geometry import Vector
from sample_dicom.shapes import Bands, Column, Common, Ellipsoid, Outside, Part, Shape, Slab, Tissue, Tube, depth_at

COUCH = Tissue(hu=-650, suv=0.0)
FAT = Tissue(hu=-100, suv=0.25)
MUSCLE = Tissue(hu=45, suv=0.6)
BONE = Tissue(hu=650, suv=0.9)
MARROW = Tissue(hu=300, suv=1.3)
CORD = Tissue(hu=35, suv=1.0)
MEDIASTINUM = Tissue(hu=30, suv=0.9)
BLOOD = Tissue(hu=42, suv=1.5)
VESSEL = Tissue(hu=40, suv=1.0)
SPLEEN = Tissue(hu=50, suv=1.7)
STOMACH = Tissue(hu=30, suv=1.2)
GAS = Tissue(hu=-990, suv=0.0)
NODULE = Tissue(hu=40, suv=2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Torso:
    """One person's torso: parts in the order of painting, and the places where a finding may sit."""

    parts: tuple[Part, ...]
    lungs: tuple[Ellipsoid, Ellipsoid]
    solid: tuple[Shape, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """The measures all organs are scaled by: half width and half depth of body and of thorax, mm, and body height."""

    body: tuple[float, float]
    thorax: tuple[float, float]
    height: float
    shift: Vector

    def at(self, x: float, y: float, z: float) -> Vector:
        """Turn fractions of the thorax (and mm along z) into a point."""
        dx, dy, dz = self.shift
        return (x * self.thorax[0] + dx, y * self.thorax[1] + dy, z * self.height + dz)

    def semi(self, x: float, y: float, z: float) -> Vector:
        """Turn fractions of the thorax (and mm along z) into semi-axes."""
        return (x * self.thorax[0], y * self.thorax[1], z * self.height)

    def column(self, x: float, y: float, semi: tuple[float, float], span: tuple[float, float]) -> Column:
        """Stand an elliptic cylinder (semi-axes in mm) at a place in the thorax, from and to a height."""
        cx, cy, _ = self.at(x, y, 0)
        low, high = (value * self.height + self.shift[2] for value in span)
        return Column(centre=(cx, cy), semi=semi, low=low, high=high)


_WHOLE = (-1000.0, 1000.0)


def torso(chance: Chance, *, woman: bool) -> Torso:
    """Draw a person's torso."""
    frame = _frame(chance)
    lungs = _lungs(frame, chance)
    heart = Ellipsoid(
        centre=frame.at(0.24 + chance.uniform(-0.03, 0.03), -0.22, -36),
        semi=frame.semi(0.42 * chance.uniform(0.92, 1.08), 0.46, 46),
        turn=0.25,
    )
    abdomen = _abdomen(frame, chance)
    middle = _middle(frame, heart)
    air = Tissue(hu=chance.uniform(-850, -790), suv=0.4)
    parts = (
        *_wall(frame, chance, woman=woman),
        *(Part(shape=lung, tissue=air) for lung in lungs),
        *(Part(shape=Common(shapes=(lung, _behind(frame))), tissue=_denser(air)) for lung in lungs),
        *_vessels(lungs, chance),
        *middle,
        *abdomen,
        *_spine(frame),
    )
    return Torso(parts=parts, lungs=lungs, solid=tuple(part.shape for part in (*middle, *abdomen)))


def nodules(chance: Chance, body: Torso) -> list[Part]:
    """Draw eight to twelve nodules of 24 to 30 mm, as metastases lie: each wholly in aerated lung."""
    return [_mass(chance, body, NODULE, (12.0, 15.0)) for _ in range(8 + chance.below(5))]


def focus(chance: Chance, body: Torso) -> Part:
    """Draw a mass of 26 to 36 mm in the lung that takes up FDG as tumours do."""
    return _mass(chance, body, Tissue(hu=40, suv=chance.uniform(7.0, 11.0)), (13.0, 18.0))


def _mass(chance: Chance, body: Torso, tissue: Tissue, radii: tuple[float, float]) -> Part:
    radius = chance.uniform(*radii)
    semi = (radius * chance.uniform(0.9, 1.1), radius * chance.uniform(0.9, 1.1), radius)
    return Part(shape=Ellipsoid(centre=_place(chance, body, radius), semi=semi), tissue=tissue)


def _place(chance: Chance, body: Torso, radius: float) -> Vector:
    """Find a point at least a radius from the lung's surface and from all that is solid."""
    while True:
        lung = body.lungs[chance.below(2)]
        x, y, z = (c + s * chance.uniform(-0.75, 0.75) for c, s in zip(lung.centre, lung.semi, strict=True))
        free = min(-depth_at(shape, (x, y, z)) for shape in body.solid)
        if depth_at(lung, (x, y, z)) > 0.8 * radius and free > radius:
            return (x, y, z)


def _frame(chance: Chance) -> _Frame:
    size = chance.uniform(0.93, 1.06)
    width, depth = size * chance.uniform(140, 156), size * chance.uniform(96, 112)
    fat = chance.uniform(8, 18)
    return _Frame(
        body=(width, depth),
        thorax=(width - fat - 10, depth - fat - 10),
        height=chance.uniform(0.95, 1.05),
        shift=(chance.uniform(-7, 7), chance.uniform(-7, 7), chance.uniform(-6, 6)),
    )


def _lungs(frame: _Frame, chance: Chance) -> tuple[Ellipsoid, Ellipsoid]:
    length = 112 * chance.uniform(0.94, 1.06)
    return (
        Ellipsoid(centre=frame.at(-0.52, 0.02, 10), semi=frame.semi(0.46, 0.86, length)),
        Ellipsoid(centre=frame.at(0.54, 0.04, 10), semi=frame.semi(0.42, 0.84, length * 0.98)),
    )


def _behind(frame: _Frame) -> Shape:
    """The back half of the thorax: blood sinks there in a lying patient, and the lung is denser."""
    x, y, z = frame.at(0, 1.0, 0)
    return Ellipsoid(centre=(x, y, z), semi=(400, frame.thorax[1] * 0.75, 400))


def _denser(lung: Tissue) -> Tissue:
    return Tissue(hu=lung.hu + 50, suv=lung.suv + 0.1)


def _wall(frame: _Frame, chance: Chance, *, woman: bool) -> list[Part]:
    """Paint couch, fat, breasts, muscle, ribs and breastbone."""
    (width, depth), (a, b) = frame.body, frame.thorax
    x, y, _ = frame.shift
    parts = [Part(shape=Slab(y=(y + depth + 2, y + depth + 18), half_width=150), tissue=COUCH)]
    parts.append(Part(shape=Column(centre=(x, y), semi=(width, depth)), tissue=FAT))
    for side in (-1, 1) if woman else ():
        breast = Ellipsoid(centre=(x + side * 0.45 * width, y - 0.82 * depth, frame.at(0, 0, 0)[2]), semi=(52, 34, 48))
        parts.append(Part(shape=breast, tissue=FAT))
    parts.append(Part(shape=Column(centre=(x, y), semi=(a + 10, b + 10)), tissue=MUSCLE))
    cage = Common(
        shapes=(
            Column(centre=(x, y), semi=(a + 5, b + 5), low=-105),
            Outside(shape=Column(centre=(x, y), semi=(a - 3, b - 3))),
            Bands(period=26, half_width=7, slope=0.35, phase=chance.uniform(0, 26)),
        )
    )
    breastbone = frame.column(0, -1.0, (17, 7), (-60, 70))
    return [*parts, Part(shape=cage, tissue=BONE), Part(shape=breastbone, tissue=MARROW)]


def _vessels(lungs: tuple[Ellipsoid, Ellipsoid], chance: Chance) -> list[Part]:
    """Let vessels fork from each hilum to the lung's mantle, thinner as they go."""
    parts = []
    for side, lung in zip((1, -1), lungs, strict=True):
        (x, y, z), (a, b, c) = lung.centre, lung.semi
        hilum = (x + side * 0.75 * a, y, z)
        for _ in range(7):
            u, v, w = chance.uniform(-0.6, 0.2) * side, chance.uniform(-0.6, 0.6), chance.uniform(-0.6, 0.6)
            fork = (x + u * a, y + v * b, z + w * c)
            parts.append(Part(shape=Tube(start=hilum, end=fork, radius=3.0), tissue=VESSEL, cover=0.15))
            for _ in range(2):
                tip = (
                    fork[0] - side * 0.3 * a,
                    fork[1] + chance.uniform(-0.3, 0.3) * b,
                    fork[2] + chance.uniform(-0.3, 0.3) * c,
                )
                within = (lung, Tube(start=fork, end=tip, radius=2.0))
                parts.append(Part(shape=Common(shapes=within), tissue=VESSEL, cover=0.15))
    return parts


def _middle(frame: _Frame, heart: Ellipsoid) -> list[Part]:
    """Paint mediastinum, heart, aorta, windpipe and the two main bronchi."""
    top = 130.0
    carina = frame.at(0.02, 0.15, 30)
    bronchi = [
        Part(shape=Tube(start=carina, end=frame.at(side * 0.26, 0.18, 5), radius=5.0), tissue=GAS, cover=0.8)
        for side in (-1, 1)
    ]
    return [
        Part(
            shape=frame.column(0.04, 0.0, (0.15 * frame.thorax[0], 0.75 * frame.thorax[1]), _WHOLE), tissue=MEDIASTINUM
        ),
        Part(shape=heart, tissue=BLOOD),
        Part(shape=frame.column(0.14, 0.45, (12, 12), (-1000, 50)), tissue=BLOOD),
        Part(shape=Ellipsoid(centre=frame.at(0.05, 0.08, 52), semi=(26, 36, 13)), tissue=BLOOD),
        *bronchi,
        Part(shape=frame.column(0.02, 0.15, (9, 8), (28, top + 100)), tissue=GAS),
    ]


def _abdomen(frame: _Frame, chance: Chance) -> list[Part]:
    """Paint the liver under the right dome of the diaphragm, and spleen and stomach under the left."""
    liver = Tissue(hu=chance.uniform(52, 64), suv=chance.uniform(1.8, 2.4))
    below = Tissue(hu=20, suv=0.7)
    bubble = Ellipsoid(centre=frame.at(0.42, -0.35, -92), semi=(20, 14, 12))
    return [
        Part(shape=Ellipsoid(centre=frame.at(0.5, 0.0, -124), semi=frame.semi(0.52, 0.9, 52)), tissue=below),
        Part(shape=Ellipsoid(centre=frame.at(-0.4, 0.0, -114), semi=frame.semi(0.66, 0.9, 58)), tissue=liver),
        Part(shape=Ellipsoid(centre=frame.at(0.72, 0.4, -112), semi=(26, 36, 38)), tissue=SPLEEN),
        Part(shape=Ellipsoid(centre=frame.at(0.42, -0.25, -106), semi=(38, 34, 34)), tissue=STOMACH),
        Part(shape=bubble, tissue=GAS),
    ]


def _spine(frame: _Frame) -> list[Part]:
    """Paint vertebral column, canal and spinous processes."""
    return [
        Part(shape=frame.column(0.0, 0.72, (20, 17), _WHOLE), tissue=BONE, cover=0.6),
        Part(shape=frame.column(0.0, 0.72, (16, 13), _WHOLE), tissue=MARROW),
        Part(shape=frame.column(0.0, 0.98, (24, 10), _WHOLE), tissue=BONE, cover=0.6),
        Part(shape=frame.column(0.0, 0.93, (9, 8), _WHOLE), tissue=CORD),
    ]
