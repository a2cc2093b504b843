"""What is installed: every package, every data file, and migrations that work outside the checkout."""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from tests.steps.exports import SLICES, write_series

ROOT = Path(__file__).parents[2]
DATA = {".csv", ".tsv", ".json", ".yaml", ".mako", ".sql", ".txt"}


def folders(top: str) -> set[str]:
    """Dotted names of the folders that hold modules."""
    return {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / top).rglob("*.py")}


def test_every_folder_of_modules_is_named_as_a_package() -> None:
    named = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    schemas = {name.replace("schemas", "medflow_schemas", 1) for name in folders("schemas")}
    assert named == folders("medflow") | folders("pipelines") | schemas


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what belongs to it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "medflow", "pipelines", "schemas"):
        (source / name).symlink_to(ROOT / name)
    build = [sys.executable, "-c", BUILD, str(folder)]
    done = subprocess.run(build, cwd=source, capture_output=True, text=True, check=False)  # noqa: S603  (our own build)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def test_the_wheel_holds_every_module_and_every_data_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = {
        path.relative_to(ROOT).as_posix()
        for top in ("medflow", "pipelines", "schemas")
        for path in (ROOT / top).rglob("*")
        if path.suffix in {".py", *DATA}
    }
    assert held == {f"medflow_{name}" if name.startswith("schemas/") else name for name in wanted}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a fresh environment that holds the wheel, outside the checkout.

    The wheel's dependencies are lent by this environment, so that nothing is downloaded; `pip check` says whether
    they are what the wheel asks for.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    programs = folder / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python")]
    _run(folder, *pip, "install", "--quiet", "--no-deps", "--no-index", wheel)
    _run(folder, *pip, "check")
    return programs


def test_the_installed_wheel_upgrades_takes_in_and_lists_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    write_series(tmp_path / "export", patient="PAT-1")
    where = _run(tmp_path, installed / "python", "-c", "import medflow; print(medflow.__file__)")

    _run(tmp_path, installed / "medflow", "db", "upgrade")
    ingested = json.loads(_run(tmp_path, installed / "medflow", "ingest", "export", "--json"))
    listed = json.loads(_run(tmp_path, installed / "medflow", "predictions", "--json"))

    assert where.startswith(str(installed.parent))
    assert ingested["files"]["accepted"] == SLICES
    assert listed["predictions"] == []


def _run(folder: Path, *command: str | Path) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MEDFLOW_", "PYTHON"))}
    done = subprocess.run(  # noqa: S603  (our own wheel)
        [str(word) for word in command], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
