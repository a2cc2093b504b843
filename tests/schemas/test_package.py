"""What is installed: every package, every data file, and migrations that work outside the checkout."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = {".csv", ".tsv", ".json", ".yaml", ".mako", ".sql", ".txt"}
UPGRADE = """
import sys
sys.path.insert(0, sys.argv[1])
import medflow, medflow_schemas
assert medflow.__file__.startswith(sys.argv[1]) and medflow_schemas.__file__.startswith(sys.argv[1])
from medflow.store.schema import exists, upgrade
upgrade(sys.argv[2])
assert exists(sys.argv[2])
"""


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


def test_migrations_work_from_the_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    command = [sys.executable, "-c", UPGRADE, str(site), f"sqlite:///{tmp_path}/medflow.db"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603  (our own)
    assert done.returncode == 0, done.stderr
