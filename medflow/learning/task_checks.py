"""What a task file's keys must not say together: rules that a JSON Schema cannot write."""

import math
from collections.abc import Iterator
from typing import Any

from medflow.documents import Keys, Mistake
from medflow.learning.limits import LEAST_SIDE

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
    least = LEAST_SIDE[network["name"]]
    if min(shape[:2] if flat else shape) < least:
        text = f"{network['name']} needs at least {least} voxels along each axis"
        yield Mistake(path=("grid", "shape"), text=text)


def _labels(task: dict[str, Any]) -> Iterator[Mistake]:
    abstain, classes = task.get("abstain_below"), len(task["labels"]["classes"])
    if abstain is not None and abstain <= 1 / classes:
        text = f"the highest of {classes} probabilities is never below {1 / classes:.3g}, so nothing would be withheld"
        yield Mistake(path=("abstain_below",), text=text)


def _split(split: dict[str, Any]) -> Iterator[Mistake]:
    whole = split["train"] + split["validation"] + split["test"]
    if not math.isclose(whole, 1.0, abs_tol=1e-6):
        yield Mistake(path=("split",), text=f"train, validation and test make {whole:g}, not 1")


def _schedule(schedule: dict[str, Any], shape: list[int]) -> Iterator[Mistake]:
    if shape[2:] == [1] and "k" in schedule.get("flips", []):
        yield Mistake(path=("schedule", "flips"), text="a grid of one slice has no axis k to mirror")
    if schedule.get("shift", 0) >= min(size for size in shape if size > 1 or shape[2:] != [1]):
        yield Mistake(path=("schedule", "shift"), text="would move everything out of the grid")
