r"""How often chance alone would show a value: the model behind the expected false alarms.

What was scanned is taken as drawn anew, sign by sign and word by word, from what it is made of:

- A word of letters is drawn from the language of the trade (the meanings of the codes that the standard uses and the
  names of private creators, each word as often as it stands there; the words that headers are written in, each once in
  about 300), or else its letters are drawn one by one from 26 (from 3000, where the script has ideographs), in the
  length that it has. So a patient called Bone is looked for by the name alone only in so short a text that "bone" would
  hardly stand there anyway.
- A whole number n has the probability 1 / (n ln 10^6): numbers of headers are spread over the orders of magnitude;
  each zero at its end makes it ten times more likely. One in 40 is a power of two, or next to one.
- A phrase is the product of its words at each place of a text. Texts that repeat count once.
- A run of bytes is the product of the shares that its bytes have in a sample of what was scanned, at each byte; one of
  fewer than three different bytes, or of bytes that rise by one step, is not looked for in pixels, which often do so.
- An original date b, among dates moved back by 366 to 3650 whole days at random, is met with 1/3285 for each original
  date a with 366 <= a - b <= 3650.

Phrases are admitted from the least likely on, as long as the sum over all of them stays below a budget. What is left
out is told apart from chance by nobody, and the report says what it was.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import cast

import numpy as np
from pydicom._private_dict import private_dictionaries
from pydicom.sr import _concepts_dict

from medflow.verify.words import has_ideographs

HEADERS = """
abd abdomen accel achieva adc adult aera affinity agfa altix amira ankle aorta aquilion arm arms arterial artis ascend
asl asset avanto ax axi axial base biograph blade body bold bone brain bravo breast brilliance brivo brightspeed canon
cardiac celesteion cervical chest cine coil confidence contrast cor coronal coronary cube definition delay delayed
derived detail diffusion discovery drive dti dwi dyn dynamic early elbow emotion epi ext extremity face fast fat feet
femur fiesta fisp flair flash flow fmri foot force fse fuji gated gemini genesis gradient gre hand haste head heart
helical hip hitachi horizon image incisive infinix ingenia ingenuity inner kidney knee kodak konica large late lateral
left leg leo liver localizer loc long lower lspine lumbar lung lungs magnetom mamma map mean medical mediastinum medium
mip mobile mono mosaic mpr mprage mra mrc mri mrv mx nav neck none normal optima orbit original other pelvis perfusion
phantom phase philips portal position post pre primary prime prisma prone propeller prostate radiance recon reformat
resolve rest revolution right routine sag sagittal scan scout se secondary sensation series sharp shimadzu short
shoulder siemens signa sinus skull skyra slice small smooth sola soft somatom space spectra spectral spgr spin spine
spiral standard std stent stir stress sub supine swi symphony t1 tbi terra test tfe thick thigh thin thorax tof topogram
toshiba tra trans transverse trio trufi tse tspine turbo ultra upper vario venous verio vibe vida vista volume whole wip
wrist young
"""
"""Words that headers are written in: parts of the body, planes, sequences, kernels, makers and their scanners."""
SPREAD = math.log(1e6)
SHORTEST, SHIFTS = 366, 3285
"""Days by which dates are moved back at least, and in how many ways."""
IDEOGRAPHS = 3000.0
"""Signs of Han, kana and Hangul that are about as common as each other."""
STRIDE = 61
"""Every so many bytes one is sampled."""


@dataclass(slots=True)
class Scanned:
    """What was looked through so far, as far as chance depends on it."""

    letters: Counter[int] = field(default_factory=Counter)
    """Distinct texts' words of letters, by their length."""
    digits: int = 0
    foreign: int = 0
    """Signs of other scripts."""
    header_bytes: int = 0
    pixel_bytes: int = 0
    sample: "np.ndarray[tuple[int], np.dtype[np.int64]]" = field(default_factory=lambda: np.zeros(256, np.int64))
    _shares: tuple[int, list[float]] | None = None

    def add_words(self, found: Sequence[str]) -> None:
        """Count the words of a text that was not seen before."""
        for word in found:
            if word.isdigit():
                self.digits += 1
            elif word.isascii():
                self.letters[len(word)] += 1
            else:
                self.foreign += len(word)

    def add_bytes(self, content: bytes, pixels: int) -> None:
        """Count the bytes of a file, `pixels` of which are pixels."""
        self.pixel_bytes += pixels
        self.header_bytes += len(content) - pixels
        sampled = np.frombuffer(content, np.uint8)[::STRIDE]
        self.sample += np.bincount(sampled, minlength=256)

    def shares(self) -> Sequence[float]:
        """Give the logarithm of each byte's share, small letters and capitals taken together."""
        if self._shares is None or self._shares[0] != int(self.sample.sum()):
            total = int(self.sample.sum())
            met = self.sample.copy()
            small, large = slice(97, 123), slice(65, 91)
            met[small] = met[large] = met[small] + met[large]
            self._shares = total, np.log(np.maximum(met, 1) / max(total, 1)).tolist()
        return self._shares[1]

    @property
    def words(self) -> int:
        """Words of all kinds."""
        return self.letters.total() + self.digits + self.foreign


def expected_phrase(phrase: Sequence[str], scanned: Scanned) -> float:
    """Expect a phrase so often by chance in what was scanned."""
    if not scanned.words:
        return 0.0
    return scanned.words * math.prod(_word(word, scanned) for word in phrase)


def expected_bytes(pattern: bytes, scanned: Scanned, places: int) -> float:
    """Expect a run of bytes, whatever the case of its letters, so often by chance at so many places."""
    if not places:
        return 0.0
    return places * math.exp(sum(map(scanned.shares().__getitem__, pattern)))


def expected_date(day: str, originals: Iterable[str]) -> float:
    """Expect an original date so often among others that were moved."""
    there = _ordinal(day)
    others = (_ordinal(each) for each in originals)
    return sum(SHORTEST <= other - there < SHORTEST + SHIFTS for other in others) / SHIFTS


def admitted(expected: Mapping[int, float], budget: float) -> tuple[frozenset[int], float]:
    """Choose what is looked for, the least likely first, while the sum stays within `budget`; give the sum too."""
    chosen, total = set(), 0.0
    for key, chance in sorted(expected.items(), key=lambda item: (item[1], item[0])):
        if total + chance > budget:
            break
        chosen.add(key)
        total += chance
    return frozenset(chosen), total


def _word(word: str, scanned: Scanned) -> float:
    if word.isdigit():
        return scanned.digits / scanned.words * _number(word)
    if has_ideographs(word):
        return scanned.foreign / scanned.words * IDEOGRAPHS ** -len(word)
    if not word.isascii():
        return scanned.foreign / scanned.words * 32.0 ** -len(word)
    trade, total = _trade()
    spelled = scanned.letters[len(word)] / scanned.words * 26.0 ** -len(word)
    return scanned.letters.total() / scanned.words * trade[word] / total + spelled


def _number(digits: str) -> float:
    number = int(digits)
    if number == 0:
        return 1.0
    zeros = len(digits) - len(digits.rstrip("0"))
    power = any(near and near & (near - 1) == 0 for near in (number - 1, number, number + 1))
    return min(1.0, 10.0**zeros / (number * SPREAD) + power / 40)


def _ordinal(day: str) -> int:
    try:
        return date(int(day[:4]), int(day[4:6]), int(day[6:8])).toordinal()
    except ValueError:
        return 0


@cache
def _trade() -> tuple[Counter[str], int]:
    """Count the words of the trade's own texts, and all of them together."""
    counts: Counter[str] = Counter()
    concepts = cast("dict[str, dict[str, dict[str, tuple[str, list[int]]]]]", _concepts_dict.concepts)
    for named in concepts.values():
        for meanings in named.values():
            for meaning, _ in meanings.values():
                counts.update(re.findall(r"[a-z]+", meaning.lower()))
    for creator in private_dictionaries:
        counts.update(re.findall(r"[a-z]+", creator.lower()))
    often = counts.total() // 100
    counts.update(dict.fromkeys(HEADERS.split(), often))
    return counts, counts.total()
