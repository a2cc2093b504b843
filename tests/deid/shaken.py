"""Files of one series whose headers mostly repeat, damaged as a sloppy or a hostile sender would."""

from collections.abc import Callable, Iterator

from tests.deid.hiding import PLANTS, person
from tests.deid.hostile import Secrets, Spelling, file_of, pieces
from tests.deid.phantom import ct_slice


def shaken(secrets: Secrets, spelling: Spelling, syntax: str, *, files: int) -> Iterator[bytes]:
    """Write the files of a series whose headers mostly repeat, each but the first damaged in a way of its own."""
    chance, shared = secrets.chance, person(secrets, spelling)
    for plant in chance.sample(PLANTS, 2):
        plant(secrets, spelling, shared)
    for number in range(files):
        made = pieces(ct_slice(chance.choice((0, number))), spelling)
        made |= shared if chance.random() < 0.8 else person(secrets, spelling)
        parts = [made[tag] for tag in sorted(made)]
        shake = chance.choice(SHAKES) if number else _as_it_is
        body = shake(secrets, spelling, parts)
        yield file_of(body, syntax)


def _as_it_is(_: Secrets, __: Spelling, parts: list[bytes]) -> bytes:
    return b"".join(parts)


def _flipped(secrets: Secrets, _: Spelling, parts: list[bytes]) -> bytes:
    body = bytearray(b"".join(parts[:-1]))
    for _number in range(secrets.chance.choice((1, 2, 5))):
        body[secrets.chance.randrange(len(body))] = secrets.chance.choice((0, 1, 0x20, 0x42, 0xFF))
    return bytes(body) + parts[-1]


def _out_of_order(secrets: Secrets, _: Spelling, parts: list[bytes]) -> bytes:
    one, two = (secrets.chance.randrange(len(parts) - 1) for _ in range(2))
    parts[one], parts[two] = parts[two], parts[one]
    return b"".join(parts)


def _twice(secrets: Secrets, _: Spelling, parts: list[bytes]) -> bytes:
    parts.insert(secrets.chance.randrange(len(parts)), secrets.chance.choice(parts[:-1]))
    return b"".join(parts)


def _with_one_more(secrets: Secrets, spelling: Spelling, parts: list[bytes]) -> bytes:
    tag = secrets.chance.choice((0x00080005, 0x0008103E, 0x00091001, 0x00104000, 0x7FE00001, 0x00020010))
    parts.insert(secrets.chance.randrange(len(parts)), spelling.element(tag, "LO", secrets.word("one more")))
    return b"".join(parts)


def _cut_off(secrets: Secrets, _: Spelling, parts: list[bytes]) -> bytes:
    body = b"".join(parts)
    return body[: secrets.chance.randrange(len(body))]


SHAKES: tuple[Callable[[Secrets, Spelling, list[bytes]], bytes], ...] = (
    _as_it_is, _flipped, _flipped, _out_of_order, _twice, _with_one_more, _cut_off,
)  # fmt: skip
"""Ways to damage a file, given its elements in order."""
