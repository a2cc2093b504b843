"""One night on the shipped sample, through the real flows, and a table of what came out of it."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medflow.cli.screen import out, print_table, progress, say
from medflow.domain.model import Model, Stage
from medflow.domain.progress import Progress
from medflow.errors import ConfigurationError, Reason, StateError
from medflow.settings import open_house, read_settings
from medflow.steps.audit import verify
from medflow.steps.evaluate import evaluate
from medflow.steps.house import House
from medflow.steps.labels import import_labels
from medflow.steps.models import listed as models
from medflow.steps.predictions import listed as predictions
from medflow.steps.promotion import promote
from pipelines.embedded import server

SOURCE, VERSION = "sample", "1"
BARS = "▁▂▃▄▅▆▇█"
FIGURES = ("accuracy", "sensitivity", "specificity", "roc_auc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a night can be shown on: a folder with `export` and `labels`, and the task to train."""

    folder: Path = Path(__file__).parents[1] / "sample_dicom"
    task: str = "chest_ct_nodule"
    tasks: Path | None = None
    """Folder of the task's file; without it, the shipped ones."""

    @property
    def export(self) -> Path:
        """The DICOM files."""
        return self.folder / "export"

    @property
    def labels(self) -> tuple[Path, ...]:
        """Labels by original PatientID."""
        return tuple(sorted((self.folder / "labels").glob("*.csv")))


SHIPPED = Sample()


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What the flows and the house said."""

    ingest: Mapping[str, Any]
    train: Mapping[str, Any]
    score: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    promotion: str
    """Whether the model may speak, or the sentence that says why not."""
    labels: int
    predictions: int
    audit_rows: int
    audit_faults: int
    model: Model
    history: list[list[float]]
    """[epoch, training loss, loss on the select part] of each epoch."""
    seconds: float


def show(data_dir: Path, sample: Sample = SHIPPED) -> bool:
    """Do the night and draw its table; True where the audit chain holds.

    The environment must be the one that `embedded.environment` spelled, and Prefect not yet imported: it reads where
    its server is when it is.

    Raises:
        ConfigurationError: the sample is not here, or the folder holds the house of another version of medflow.
        StateError: a flow stopped.
    """
    started = time.monotonic()
    if not sample.export.is_dir() or not sample.labels:
        raise ConfigurationError("the sample series lie in the checkout: run the demo from there (`make demo`)")
    os.environ["MEDFLOW_CONFIG"] = str(_written_settings(data_dir, sample))
    _check_house(data_dir)
    with progress() as bars:
        bars.start("starting Prefect's server", 1)
        with server(os.environ) as url:
            bars.advance()
            os.environ["PREFECT_API_URL"] = url
            done = _flows(sample, bars)
    with closing(open_house(read_settings(), writing=False)) as house:
        night = _told(house, done, time.monotonic() - started)
    _draw(night)
    _draw_places(data_dir)
    return not night.audit_faults


def _check_house(data_dir: Path) -> None:
    """Make the house, or see that the one that stands there can be used, before anything is started for it."""
    try:
        open_house(read_settings()).close()
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{error}. It is the demo's own: delete the folder {data_dir.name} and run the demo again, or set "
            "MEDFLOW_CONFIG to the medflow.toml in it and mend that house"
        ) from None


def _written_settings(data_dir: Path, sample: Sample) -> Path:
    """Write the demo's settings beside its data, so that every other verb can be pointed at them."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = [f"data_dir = {_quoted(data_dir)}"]
    if sample.tasks:
        lines.append(f"tasks_dir = {_quoted(sample.tasks)}")
    lines += ["[sources]", f"{SOURCE} = {_quoted(sample.export)}"]
    file = data_dir.resolve() / "medflow.toml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def _quoted(path: Path) -> str:
    """Write a path as TOML, whose strings are escaped as JSON's are."""
    return json.dumps(str(path.resolve()), ensure_ascii=False)


def _flows(sample: Sample, bars: Progress) -> dict[str, Any]:
    """Run ingest, labels, train and score in this order."""
    bars.start("loading the flows", 1)
    from pipelines.edge import Stopped, Stumbled
    from pipelines.ingest import ingest
    from pipelines.score import score
    from pipelines.train import train

    bars.advance()
    try:
        with _watched_by(bars):
            taken_in = ingest(SOURCE)
            with closing(open_house(read_settings())) as house:
                imported = [import_labels(house, file, source=SOURCE, version=VERSION) for file in sample.labels]
            trained = train(sample.task)
            measured = _measured(trained["name"], trained["version"], bars)
            scored = score(f"{trained['name']}:{trained['version']}")
    except (Stopped, Stumbled) as stopped:
        raise StateError(
            f"the demo ended early ({stopped}); the line before this one says what stood in its way"
        ) from None
    stored = sum(report.new + report.already for report in imported)
    return {"ingest": taken_in, "train": trained, "score": scored, "labels": stored, **measured}


def _measured(name: str, version: int, bars: Progress) -> dict[str, Any]:
    """Open the test part for the model, and ask that it may speak; a refusal is a result, and is shown."""
    with closing(open_house(read_settings())) as house:
        evaluation = evaluate(house, f"{name}:{version}", progress=bars)
        stage = next(item.stage for item in models(house) if (item.model.name, item.model.version) == (name, version))
        if stage is not Stage.CANDIDATE:
            promotion = f"{name}:{version} is {stage.value}"
        else:
            try:
                promote(house, name, version, reason="shown by the demo")
            except ConfigurationError as refusal:
                promotion = f"refused: {refusal}"
            else:
                promotion = f"{name}:{version} is active"
    return {"evaluation": evaluation.record(), "promotion": promotion}


@contextmanager
def _watched_by(bars: Progress) -> Iterator[None]:
    from pipelines.edge import watcher

    token = watcher.set(bars)
    try:
        yield
    finally:
        watcher.reset(token)


def _told(house: House, done: Mapping[str, Any], seconds: float) -> Night:
    """Ask the house what stands in it now."""
    model = next(item.model for item in models(house) if item.model.id == done["train"]["model"])
    chain = verify(house)
    return Night(
        **done,
        model=model,
        history=model.metrics["training"]["history"],
        predictions=sum(item.prediction.model_digest == model.model_digest for item in predictions(house)),
        audit_rows=chain.rows,
        audit_faults=len(chain.faults),
        seconds=seconds,
    )


def _draw(night: Night) -> None:
    files, series, test = night.ingest["files"], night.ingest["series"], night.evaluation["metrics"]
    seen = series["accepted"] + series["refused"] + series["withheld"]
    rows = [
        ("files", "{seen} seen = {accepted} accepted + {quarantined} quarantined + {ignored} ignored".format(**files)),
        ("series", f"{seen} seen, " + "{accepted} accepted, {refused} refused, {withheld} withheld".format(**series)),
        ("labels", f"{night.labels} stored, by pseudonym"),
        ("model", f"{night.model.name}:{night.model.version}  {night.model.model_digest[:12]}{_before(night)}"),
        ("cohort", _cohort(night.train["parts"])),
        ("training", _curve(night.history)),
        *((f"test {name.replace('_', ' ')}", _figure(test[name])) for name in FIGURES),
        ("test part", " ".join(night.evaluation["openings"])),
        ("promotion", night.promotion),
        ("predictions", f"{night.predictions} in the database, {night.score['scored']} written now"),
        ("not scored", _refused(night.score["refused"])),
        ("audit chain", _chain(night)),
        ("time", f"{night.seconds:.0f} s"),
    ]
    print_table("One night on the sample", ("", "what came out"), rows)
    reasons = night.ingest["reasons"]
    if reasons:
        aside = [(code, count, Reason(code).sentence) for code, count in reasons.items()]
        print_table("Set aside", ("reason", "files", "what it means"), aside)


def _before(night: Night) -> str:
    return "" if night.train["new"] else "  (trained before)"


def _cohort(parts: Mapping[str, Mapping[str, int]]) -> str:
    return "; ".join(
        f"{part}: {', '.join(f'{count} {label}' for label, count in classes.items())}"
        for part, classes in parts.items()
    )


def _curve(history: list[list[float]]) -> str:
    """Say how the loss on the select part went, and draw it."""
    losses = [loss for _, _, loss in history]
    best, low, span = min(range(len(losses)), key=losses.__getitem__), min(losses), max(losses) - min(losses)
    drawn = "".join(BARS[round((loss - low) / span * (len(BARS) - 1)) if span else 0] for loss in losses)
    return f"{len(losses)} epochs, loss on the select part {losses[0]:.3f} to {low:.3f} (epoch {best + 1})  {drawn}"


def _figure(entry: Mapping[str, Any]) -> str:
    if entry["value"] is None or entry["low"] is None:
        return f"n = {entry['n']}: {entry['method']}"
    return f"{entry['value']:.3f}  95 % interval {entry['low']:.3f} to {entry['high']:.3f}  n = {entry['n']}"


def _chain(night: Night) -> str:
    if night.audit_faults:
        return f"{night.audit_faults} FAULTS in {night.audit_rows} rows"
    return f"{night.audit_rows} rows verified: whole"


def _refused(reasons: Mapping[str, int]) -> str:
    """Say how many series scoring turned away now, and why."""
    return (
        "; ".join(f"{count} for {Reason(code).value}" for code, count in sorted(reasons.items())) or "none turned away"
    )


def _draw_places(data_dir: Path) -> None:
    places = {
        "medflow.db": "the main database: series, labels, models, predictions, audit",
        "vault.db": "who is behind a pseudonym, encrypted",
        "keys": "the three keys",
        "dicom": "de-identified series",
        "volumes": "volumes on the task's grid, a cache",
        "models": "model versions, each with its card",
        "evaluations": "what each is worth on the test part: report.html, metrics.json, predictions.csv",
        "prefect": "Prefect's own database",
    }
    print_table("Where everything lies", ("", ""), [(str(data_dir / name), what) for name, what in places.items()])
    out.print("Next:")
    for command in (
        f"export MEDFLOW_CONFIG={data_dir.resolve() / 'medflow.toml'}",
        "medflow models list",
        "medflow predictions",
        "medflow quarantine list",
        "medflow audit show --limit 10",
        "medflow status",
    ):
        out.print(f"    {command}", markup=False)
    say("the demo's data can be deleted with its folder; running it again adds nothing")
