"""The command line, as a shell would run it."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from medflow.cli import main

Verb = Callable[..., tuple[int, str, str]]


@pytest.fixture
def medflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Verb:
    """Runs one verb in an empty folder, with `typed` on its standard input; gives exit code, stdout and stderr."""
    for name in ("MEDFLOW_CONFIG", "MEDFLOW_DATA_DIR", "MEDFLOW_DATABASE_URL", "MEDFLOW_SOURCES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["medflow", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run
