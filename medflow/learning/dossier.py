"""An evaluation as a folder: a table of predictions, figures, card, and a report that can be drawn again from these.

predictions.csv, metrics.json, card.json, model_card.md    written once; their SHA-256 stand in the evaluation's row
report.json     what was asked beside: figures at another prevalence, a comparison, openings known by then
pictures/       `<series id>-<output>.png`: pixels of patients, which go when a patient is erased
report.html     drawn from all of these, and from nothing else
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from medflow.domain import durable
from medflow.domain.calibration import Calibration
from medflow.domain.task import LabelKind, LabelRule, Level
from medflow.errors import IntegrityError, StateError
from medflow.learning import predicted
from medflow.learning.report import Evidence, drawn

PREDICTIONS = "predictions.csv"
METRICS = "metrics.json"
CARD = "card.json"
MARKDOWN = "model_card.md"
DIGESTED = (CARD, METRICS, MARKDOWN, PREDICTIONS)
BESIDE = "report.json"
REPORT = "report.html"
PICTURES = "pictures"


def write(folder: Path, contents: Mapping[str, bytes], shown: Mapping[str, bytes]) -> dict[str, str]:
    """Write a folder that appears whole or not at all, its report drawn; give the SHA-256 of the digested files.

    One that stands there, which a killed process left without a row, is replaced.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
    try:
        (beside / PICTURES).mkdir()
        for name, content in contents.items():
            durable.write(beside / name, content)
        for name, content in shown.items():
            durable.write(beside / PICTURES / name, content)
        draw(beside)
        beside.chmod(0o755)
        durable.flush(beside / PICTURES)
        durable.flush(beside)
        if folder.exists():
            shutil.rmtree(folder)
        beside.rename(folder)
        durable.flush(folder.parent)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return digests(contents)


def digests(contents: Mapping[str, bytes]) -> dict[str, str]:
    """Give the SHA-256 of each digested file."""
    return {name: hashlib.sha256(contents[name]).hexdigest() for name in DIGESTED if name in contents}


def missing(folder: Path, files: Mapping[str, str]) -> tuple[str, ...]:
    """Name the digested files that are not there.

    Raises:
        IntegrityError: one is there, and is not what its row says.
    """
    absent = []
    for name, sha256 in sorted(files.items()):
        try:
            content = (folder / name).read_bytes()
        except FileNotFoundError:
            absent.append(name)
            continue
        if hashlib.sha256(content).hexdigest() != sha256:
            raise IntegrityError(f"{name} of the evaluation is not what its row says; move it away and evaluate again")
    return tuple(absent)


def ask(folder: Path, beside: Mapping[str, Any]) -> None:
    """Put on the report what was asked beside the evaluation, and draw it again."""
    keep(folder / BESIDE, as_json(beside))
    draw(folder)


def draw(folder: Path) -> None:
    """Draw the report of a folder from its files."""
    keep(folder / REPORT, drawn(evidence(folder)).encode())


def evidence(folder: Path) -> Evidence:
    """Read what a report is drawn from.

    Raises:
        StateError: a file is missing or cannot be read.
    """
    try:
        card, metrics = (json.loads((folder / name).read_text("utf-8")) for name in (CARD, METRICS))
        rule = rule_of(card["labels"])
        rows = predicted.read(rule, (folder / PREDICTIONS).read_text("utf-8"))
        beside = json.loads((folder / BESIDE).read_text("utf-8")) if (folder / BESIDE).is_file() else {}
    except (OSError, ValueError, KeyError, TypeError):
        raise StateError("the files of an evaluation are missing or damaged; run `medflow evaluate` again") from None
    return Evidence(
        card=card,
        metrics=metrics,
        rule=rule,
        calibration=Calibration.from_record(card["answers_by"]),
        rows=rows,
        beside=beside,
        pictures=pictures(folder) or {},
    )


def pictures(folder: Path) -> dict[str, bytes] | None:
    """Read the pictures of a folder by name; None where their place is gone."""
    place = folder / PICTURES
    return {path.name: path.read_bytes() for path in sorted(place.glob("*.png"))} if place.is_dir() else None


def forget(roots: Collection[Path], series_ids: Collection[str]) -> int:
    """Remove the pictures of some series from all evaluations below `roots`, and say how many that were.

    A report that showed one goes at once, and is drawn again without it where its files allow.
    """
    removed = 0
    for folder, found in _shown(roots, set(series_ids)):
        (folder / REPORT).unlink(missing_ok=True)
        for picture in found:
            picture.unlink(missing_ok=True)
            removed += 1
        try:
            draw(folder)
        except (StateError, IntegrityError):  # what it was drawn from is gone; `medflow evaluate` makes it again
            continue
    return removed


def labels_record(rule: LabelRule) -> dict[str, Any]:
    """Write a label rule as plain values."""
    return {
        "name": rule.name,
        "level": rule.level.value,
        "classes": list(rule.classes),
        "kind": rule.kind.value,
        "findings": list(rule.findings),
    }


def rule_of(record: Mapping[str, Any]) -> LabelRule:
    """Read what `labels_record` wrote."""
    return LabelRule(
        name=record["name"],
        level=Level(record["level"]),
        classes=tuple(record["classes"]),
        kind=LabelKind(record["kind"]),
        findings=tuple(record["findings"]),
    )


def as_json(value: Mapping[str, Any]) -> bytes:
    """Write plain values so that the same give the same bytes."""
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def keep(path: Path, content: bytes) -> None:
    """Write beside `path` and rename, so that nobody ever reads half a file."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    os.close(handle)
    try:
        durable.write(Path(name), content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _shown(roots: Collection[Path], series_ids: set[str]) -> Iterator[tuple[Path, list[Path]]]:
    """Give each folder that holds pictures of these series, those of a half-written one too."""
    for root in roots:
        for place in sorted(root.rglob(PICTURES)) if root.is_dir() else ():
            found = [one for one in sorted(place.glob("*.png")) if one.name.rpartition("-")[0] in series_ids]
            if found:
                yield place.parent, found
