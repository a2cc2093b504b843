"""Which code runs: its version, its commit, and what is installed beside it."""

import subprocess
from functools import cache
from importlib.metadata import distributions, version
from pathlib import Path

from medflow.domain.prediction import CodeVersion

CHECKOUT = Path(__file__).parents[2]
PARTS = ("medflow", "pipelines", "schemas")


@cache
def code_version() -> CodeVersion:
    """Describe the running code. A changed checkout says so by ".dirty"; an installed wheel has no commit."""
    packages = {(item.name.lower(), item.version) for item in distributions()}
    return CodeVersion(version=version("medflow"), commit=_commit(), packages=tuple(sorted(packages)))


def _commit() -> str:
    if not (CHECKOUT / ".git").exists():
        return ""
    try:
        head = _git("rev-parse", "HEAD").stdout.strip()
        dirty = _git("status", "--porcelain", "--", *PARTS).stdout.strip()
    except OSError:
        return ""
    return f"{head}.dirty" if dirty else head


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  (fixed words, no shell)
        ["git", "-C", str(CHECKOUT), *words],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
