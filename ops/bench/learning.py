"""What the shipped tasks learn of drawn patients, what nothing can be learned from, and whether a leak is refused.

    PYTHONPATH=. python ops/bench/learning.py OUT [--patients 240] [--seeds 20] [--threads 2] [--only drawn ...]

Everything goes through the command line, in houses below OUT; run again, it does what is missing.

drawn     `--patients` subjects of each task of sample_dicom (half with the finding); AUC on the test part, opened once
shuffled  their chests with labels dealt by chance, once for each seed, and a small network: of honest 95 % intervals
          nearly all contain 0.5
leaked    one chest under a second patient, with the same pixels and then with noise added: no cohort is built
"""

import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import yaml

from sample_dicom import generate

ROOT = Path(__file__).resolve().parents[2]
TASKS = ROOT / "pipelines" / "tasks"
DRAWN = {"chest_ct": "chest_ct_nodule", "brain_mr": "brain_mr_lesion", "pet_ct": "pet_focus"}
REFUSED = 2
AT_LEAST, LOWER_BOUND = 0.95, 0.85
CHANCE, OF_TWENTY = 0.5, 0.8
HALVES = {"train": 0.4, "select": 0.1, "calibrate": 0.1, "test": 0.4, "seed": 1}
"""How drawn patients are dealt: an AUC of 1 has a lower bound over 0.85 from 23 of each class in the test part on."""
SMALL = {
    "network": {"name": "sequential_cnn", "dimensions": 3, "options": {"init_features": 8}},
    "split": {"train": 0.4, "select": 0.2, "test": 0.4, "seed": 1},
    "calibration": {},
}
"""What the task of the shuffled labels has in place of the shipped one's."""
ACCEPTED = ("--duplicates", "accept", "--reason", "drawn patients of one scanner resemble each other")
NOISE = 3
"""Stored values: standard deviation of what is added to the pixels of a near copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A house that is asked through the command line alone."""

    data: Path
    threads: int

    def ask(self, *words: str | Path) -> dict[str, Any]:
        """Run a verb with --json; give what it printed.

        Raises:
            RuntimeError: it was not done; the text says why.
        """
        done = self.asked(*words, "--json")
        if done.returncode == REFUSED:
            raise RuntimeError(f"medflow {words[0]}: {done.stderr.strip()}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def asked(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a verb, however it ends."""
        command = [sys.executable, "-c", "from medflow.cli import main; main()", *map(str, words)]
        threads = str(self.threads)
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MEDFLOW_")},
            "MEDFLOW_DATA_DIR": str(self.data),
            "MEDFLOW_THREADS": threads,
            "OMP_NUM_THREADS": threads,
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)  # noqa: S603

    def take_in(self, export: Path, labels: Path, source: str) -> None:
        """Take in a folder and its labels; what stands already is not taken in again."""
        self.ask("ingest", export, "--source", source)
        self.ask("labels", "import", labels, "--source", source)

    def trained(self, task: Path, *words: str | Path) -> tuple[dict[str, Any], dict[str, Any], float]:
        """Train a task and measure it on its test part: what both verbs printed, and seconds."""
        started = time.monotonic()
        model = self.ask("train", task, *words)
        evaluation = self.ask("evaluate", f"{model['name']}:{model['version']}")
        return model, evaluation, time.monotonic() - started


def changed(shipped: str, path: Path, **parts: Mapping[str, Any]) -> Path:
    """Write a shipped task under the file's name, with some of its parts (or keys of its schedule) replaced."""
    task = yaml.safe_load((TASKS / f"{shipped}.yaml").read_text("utf-8"))
    schedule = task["schedule"] | parts.pop("schedule", {})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(task | parts | {"name": path.stem, "schedule": schedule}), "utf-8")
    return path


def subjects(out: Path, patients: int) -> Path:
    """Draw so many subjects of each task."""
    folder = out / f"drawn-{patients}"
    if not (folder / generate.MANIFEST).is_file():
        shutil.rmtree(folder, ignore_errors=True)
        generate.draw(folder, chest_ct=patients, brain_mr=patients, pet_ct=patients, awkward=False)
    return folder


def drawn(out: Path, patients: int, threads: int) -> list[dict[str, Any]]:
    """Train each shipped task on drawn subjects, with more of them to test on than it deals."""
    folder = subjects(out, patients)
    bench = Bench(data=out / f"house-{patients}", threads=threads)
    found = []
    for label, task in DRAWN.items():
        bench.ask("ingest", folder / "export", "--source", "sample")
        bench.ask("labels", "import", folder / "labels" / f"{label}.csv", "--source", "sample")
        model, evaluation, seconds = bench.trained(
            changed(task, out / "drawn" / f"{task}.yaml", split=HALVES), *ACCEPTED
        )
        name = f"{model['name']}:{model['version']}"
        auc = evaluation["metrics"]["roc_auc"]
        refusal = bench.asked("models", "promote", name, "--reason", "benchmark").stderr.strip()
        found.append(
            {
                "task": task,
                "model": name,
                "n": auc["n"],
                "roc_auc": [auc["value"], auc["low"], auc["high"]],
                "method": auc.get("method", ""),
                "balanced_accuracy": evaluation["metrics"]["balanced_accuracy"]["value"],
                "seconds": round(seconds),
                "promotion": " ".join(refusal.split()) or "allowed",
                "reached": auc["value"] >= AT_LEAST and auc["low"] is not None and auc["low"] > LOWER_BOUND,
            }
        )
        print(json.dumps(found[-1]), flush=True)
    return found


def shuffled(out: Path, patients: int, seeds: int, threads: int) -> dict[str, Any]:
    """Train on labels that chance dealt, and count the intervals that contain 0.5."""
    folder = subjects(out, patients)
    bench = Bench(data=out / f"house-{patients}", threads=threads)
    with (folder / "labels" / "chest_ct.csv").open(encoding="utf-8") as stream:
        truth = [(row["PatientID"], row["nodule"]) for row in csv.DictReader(stream)]
    bench.ask("ingest", folder / "export", "--source", "sample")
    rows = []
    for seed in range(1, seeds + 1):
        values = [value for _, value in truth]
        random.Random(seed).shuffle(values)  # noqa: S311  (no secret)
        label, name = f"chance{seed}", f"shuffled_{seed}"
        table = out / "shuffled" / f"{label}.csv"
        table.parent.mkdir(parents=True, exist_ok=True)
        lines = (f"{patient},{value}\n" for (patient, _), value in zip(truth, values, strict=True))
        table.write_text(f"PatientID,{label}\n" + "".join(lines), "utf-8")
        bench.ask("labels", "import", table, "--source", "chance")
        task = changed(
            "chest_ct_nodule",
            out / "shuffled" / f"{name}.yaml",
            **SMALL,
            labels={"name": label, "level": "patient", "classes": ["absent", "present"]},
            schedule={"seed": seed, "epochs": 8, "batch_size": 16},
        )
        auc = bench.trained(task, *ACCEPTED)[1]["metrics"]["roc_auc"]
        rows.append([seed, auc["n"], auc["value"], auc["low"], auc["high"]])
        print(json.dumps(rows[-1]), flush=True)
    inside = sum(low <= CHANCE <= high for *_, low, high in rows)
    mean = sum(row[2] for row in rows) / len(rows)
    return {"seeds": rows, "inside": inside, "mean_roc_auc": mean, "reached": inside >= OF_TWENTY * len(rows)}


def leaked(out: Path, threads: int) -> list[dict[str, Any]]:
    """Copy one patient's chest under another name, as it is and with noise, and ask for a model."""
    found = []
    for kind, noise in (("identical", 0), ("nearly identical", NOISE)):
        base = out / f"leaked-{noise}"
        shutil.rmtree(base, ignore_errors=True)
        generate.draw(base, chest_ct=24, brain_mr=0, pet_ct=0, awkward=False)
        labels = base / "labels" / "chest_ct.csv"
        first = labels.read_text("utf-8").splitlines()[1].partition(",")[2]
        copy_patient(base / "export", "SAMPLE-CT-001", noise)
        with labels.open("a", encoding="utf-8") as stream:
            stream.write(f"COPY-001,{first}\n")
        bench = Bench(data=base / "house", threads=threads)
        bench.take_in(base / "export", labels, "sample")
        done = bench.asked("train", TASKS / "chest_ct_nodule.yaml")
        said = " ".join(done.stderr.split())
        found.append({"copy": kind, "exit": done.returncode, "said": said, "reached": done.returncode == REFUSED})
        print(json.dumps(found[-1]), flush=True)
    return found


def copy_patient(export: Path, patient: str, noise: int) -> None:
    """Write all that a patient has under another patient, other UIDs, and pixels that differ by noise."""
    chance = np.random.default_rng(1)
    for path in sorted(path for path in export.rglob("*") if path.is_file()):
        dataset = pydicom.dcmread(path)
        if dataset.PatientID != patient:
            continue
        dataset.PatientID, dataset.PatientName = "COPY-001", "Copy^001"
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
            if keyword in dataset:
                setattr(dataset, keyword, pydicom.uid.generate_uid(entropy_srcs=["copy", str(dataset[keyword].value)]))
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        if noise:
            if dataset.file_meta.TransferSyntaxUID.is_compressed:
                dataset.decompress()
            stored = dataset.pixel_array
            room = np.iinfo(stored.dtype)
            noisy = stored + np.rint(chance.normal(0, noise, stored.shape))
            dataset.PixelData = np.clip(noisy, room.min, room.max).astype(stored.dtype).tobytes()
        target = export / "copy" / f"{dataset.SOPInstanceUID}.dcm"
        target.parent.mkdir(exist_ok=True)
        dataset.save_as(target)


def main() -> None:
    """Run from a shell; exit 1 where a figure was not reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--patients", type=int, default=240, help="of each task, half of them with the finding")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=["drawn", "shuffled", "leaked"])
    chosen = parser.parse_args()
    out, wanted = chosen.out.resolve(), chosen.only or ["drawn", "shuffled", "leaked"]
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    if "leaked" in wanted:
        found["leaked"] = leaked(out, chosen.threads)
    if "drawn" in wanted:
        found["drawn"] = drawn(out, chosen.patients, chosen.threads)
    if "shuffled" in wanted:
        found["shuffled"] = shuffled(out, chosen.patients, chosen.seeds, chosen.threads)
    (out / "learning.json").write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    print(json.dumps(found, indent=2))
    rows = [*found.get("leaked", []), *found.get("drawn", []), *([found["shuffled"]] if "shuffled" in found else [])]
    sys.exit(0 if all(row["reached"] for row in rows) else 1)


if __name__ == "__main__":
    main()
