"""What a task file's keys must not say together: rules that a JSON Schema cannot write."""

import math
from collections.abc import Iterator
from typing import Any

from medflow.documents import Keys, Mistake
from medflow.domain.task import FORMER_SELECT
from medflow.learning.limits import refusals

UNITS = {
    "CT": ("HU",),
    "MR": ("arbitrary",),
    "PT": ("SUVbw", "SUVlbm", "SUVlbm-James128", "SUVlbm-Janma", "SUVbsa", "Bq/ml"),
}
PAIRS = ({"R", "L"}, {"A", "P"}, {"S", "I"})


def contradictions(task: dict[str, Any]) -> Iterator[Mistake]:
    """Name what cannot be in a task whose keys and types are all right."""
    yield from _no_numbers(task, ())
    if task.get("kind") == "planar":
        yield from _planar(task)
    else:
        yield from _series(task)
        yield from _rules(task["series"])
        yield from _axes(task["grid"])
    yield from _window(task["grid"])
    yield from _network(task)
    yield from _labels(task)
    yield from _split(task["split"])
    yield from _schedule(task["schedule"], task["grid"]["shape"])
    yield from _loss(task["schedule"], task["labels"])
    yield from _sides(task)
    yield from _calibration(task)


def _no_numbers(value: Any, path: Keys) -> Iterator[Mistake]:  # noqa: ANN401  (any YAML value)
    if isinstance(value, float) and not math.isfinite(value):
        yield Mistake(path=path, text="must be a finite number")
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _no_numbers(child, (*path, key))


def _series(task: dict[str, Any]) -> Iterator[Mistake]:
    modality = task["series"]["modality"]
    if task["unit"] not in UNITS[modality]:
        yield Mistake(path=("unit",), text=f"{modality} is read in {' or '.join(UNITS[modality])}")
    if task["grid"]["shape"][2] == 1 and task["series"].get("minimum_slices", 1) > 1:
        yield Mistake(path=("series", "minimum_slices"), text="a grid of one slice takes series of one slice")


def _rules(series: dict[str, Any]) -> Iterator[Mistake]:
    least, most = series.get("minimum_slice_thickness"), series.get("maximum_slice_thickness")
    if least is not None and most is not None and least > most:
        yield Mistake(path=("series", "minimum_slice_thickness"), text="no slice is thicker and thinner than that")
    both = _capitals(series, "description_words") & _capitals(series, "without_words")
    if both:
        yield Mistake(path=("series", "without_words"), text="description_words asks for the same word")
    if series["modality"] == "MR" and series.get("kernels"):
        yield Mistake(path=("series", "kernels"), text="an MR has no reconstruction kernel")


def _capitals(series: dict[str, Any], key: str) -> set[str]:
    return {word.upper() for word in series.get(key, [])}


def _planar(task: dict[str, Any]) -> Iterator[Mistake]:
    grid = task["grid"]
    if task["unit"] == "arbitrary" and grid["intensity"] == "display":
        text = "values for processing need a window or zscore; only the unit display is shown as it is"
        yield Mistake(path=("grid", "intensity"), text=text)
    if task["unit"] == "arbitrary" and task["series"]["modalities"] != [
        m for m in ("DX", "MG") if m in task["series"]["modalities"]
    ]:
        yield Mistake(path=("unit",), text="only DX and MG know images for processing")
    if grid.get("spacing") is None and grid["crop"] != "center":
        yield Mistake(
            path=("grid", "crop"), text="a whole image that is fitted has no foreground of its own; set spacing"
        )
    if "k" in task["schedule"].get("flips", []):
        yield Mistake(path=("schedule", "flips"), text="a planar image has no axis k to mirror")


def _axes(grid: dict[str, Any]) -> Iterator[Mistake]:
    if [sum(letter in pair for letter in grid["axes"]) for pair in PAIRS] != [1, 1, 1]:
        text = 'must name one of R/L, one of A/P and one of S/I, for example "LPS"'
        yield Mistake(path=("grid", "axes"), text=text)


def _window(grid: dict[str, Any]) -> Iterator[Mistake]:
    window = grid.get("window")
    if grid["intensity"] == "window" and window is None:
        yield Mistake(path=("grid", "intensity"), text="a window intensity needs the key window")
    if grid["intensity"] != "window" and window is not None:
        yield Mistake(path=("grid", "window"), text="only a window intensity has a window")
    if window is not None and not window[0] < window[1]:
        yield Mistake(path=("grid", "window"), text="the lower end comes first")


def _network(task: dict[str, Any]) -> Iterator[Mistake]:
    network, shape = task["network"], task["grid"]["shape"]
    flat = len(shape) == 2 or shape[2] == 1  # noqa: PLR2004
    if flat != (network["dimensions"] == 2):  # noqa: PLR2004
        text = "a grid of one slice goes with 2 dimensions, as a planar one does, and any other with 3"
        yield Mistake(path=("network", "dimensions"), text=text)
    sides = shape[:2] if flat else shape
    for key, text in refusals(network["name"], network["dimensions"], network.get("options", {}), sides):
        yield Mistake(path=("grid", "shape") if key == "shape" else ("network", key), text=text)


def _labels(task: dict[str, Any]) -> Iterator[Mistake]:
    labels, abstain = task["labels"], task.get("abstain_below")
    several, classes = labels.get("kind") == "multi-label", len(labels["classes"])
    if several != ("findings" in labels):
        yield Mistake(path=("labels",), text="a multi-label task names its findings, and no other does")
    if several != ("name" not in labels):
        yield Mistake(path=("labels",), text="a multi-label task has findings in place of a name, and any other a name")
    if several and classes != 2:  # noqa: PLR2004
        yield Mistake(path=("labels", "classes"), text="each finding is absent or present: two values, in this order")
    if labels.get("kind") == "ordinal" and classes < 3:  # noqa: PLR2004
        yield Mistake(path=("labels", "classes"), text="an order takes three values or more")
    if abstain is not None and several:
        yield Mistake(path=("abstain_below",), text="findings that do not exclude each other have no highest one")
    elif abstain is not None and abstain <= 1 / classes:
        text = f"the highest of {classes} probabilities is never below {1 / classes:.3g}, so nothing would be withheld"
        yield Mistake(path=("abstain_below",), text=text)


def _split(split: dict[str, Any]) -> Iterator[Mistake]:
    if ("select" in split) == (FORMER_SELECT in split):
        yield Mistake(path=("split",), text=f"needs select (which {FORMER_SELECT} is an older name of), once")
        return
    parts = {name: share for name, share in split.items() if name != "seed"}
    whole = sum(parts.values())
    if not math.isclose(whole, 1.0, abs_tol=1e-6):
        yield Mistake(path=("split",), text=f"{', '.join(parts)} make {whole:g}, not 1")


def _loss(schedule: dict[str, Any], labels: dict[str, Any]) -> Iterator[Mistake]:
    loss, kind = schedule.get("loss", "cross-entropy"), labels.get("kind", "classes")
    if kind == "classes" and loss == "bce" and len(labels["classes"]) > 2:  # noqa: PLR2004
        text = "of several classes that exclude each other, bce knows nothing; take cross-entropy or focal"
        yield Mistake(path=("schedule", "loss"), text=text)
    if schedule.get("warmup", 0) >= schedule["epochs"]:
        yield Mistake(path=("schedule", "warmup"), text="would last for all the epochs")
    if kind == "multi-label" and schedule.get("sampler") == "balanced":
        text = "findings that come together have no class to draw by; balanced: true weighs each instead"
        yield Mistake(path=("schedule", "sampler"), text=text)


SIDES = frozenset({"left", "right", "l", "r", "lt", "rt", "sinister", "dexter"})
"""Words of a value that speak of a side."""


def _sides(task: dict[str, Any]) -> Iterator[Mistake]:
    """Refuse to mirror left to right what the label tells left from right."""
    labels = task["labels"]
    said = [word for value in (*labels["classes"], *labels.get("findings", [])) for word in _words(value)]
    lateral = labels.get("lateral", bool(SIDES & set(said)))
    axes = task["grid"].get("axes", "LPS")  # of a planar image, i runs across
    mirrored = [axis for axis in task["schedule"].get("flips", []) if axes["ijk".index(axis)] in "LR"]
    if lateral and mirrored:
        text = f"mirroring along {mirrored[0]} makes left right, which the labels tell apart; if not, lateral: false"
        yield Mistake(path=("schedule", "flips"), text=text)


def _words(value: str) -> list[str]:
    return "".join(letter if letter.isalnum() else " " for letter in value.lower()).split()


def _calibration(task: dict[str, Any]) -> Iterator[Mistake]:
    rule, labels = task.get("calibration", {}), task["labels"]
    several = labels.get("kind") == "multi-label"
    if not task["split"].get("calibrate"):
        for key in ("sensitivity", "coverage"):
            if rule.get(key) is not None:
                yield Mistake(
                    path=("calibration", key), text="is found on the part calibrate; give it a share in split"
                )
    if rule.get("sensitivity") is not None and (several or len(labels["classes"]) > 2):  # noqa: PLR2004
        yield Mistake(path=("calibration", "sensitivity"), text="is a claim of a task of two classes")
    if rule.get("prevalence") is not None and (several or len(labels["classes"]) > 2):  # noqa: PLR2004
        yield Mistake(path=("calibration", "prevalence"), text="is that of the finding of a task of two classes")
    if rule.get("coverage") is not None and several:
        yield Mistake(path=("calibration", "coverage"), text="sets are made of classes that exclude each other")


def _schedule(schedule: dict[str, Any], shape: list[int]) -> Iterator[Mistake]:
    if shape[2:] == [1] and "k" in schedule.get("flips", []):
        yield Mistake(path=("schedule", "flips"), text="a grid of one slice has no axis k to mirror")
    if 2 * schedule.get("crop", 0) >= min(size for size in shape if size > 1 or shape[2:] != [1]):
        yield Mistake(path=("schedule", "crop"), text="would blank everything")
    if schedule.get("shift", 0) >= min(size for size in shape if size > 1 or shape[2:] != [1]):
        yield Mistake(path=("schedule", "shift"), text="would move everything out of the grid")
