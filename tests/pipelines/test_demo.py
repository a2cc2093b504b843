"""Facts about the demo and the server it brings along, on a small sample."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipelines.embedded import environment, server
from tests.pipelines.conftest import ROOT, TASKS
from tests.pipelines.export import write_export

pytestmark = pytest.mark.slow
DEMO = """
import os, sys
from pathlib import Path
from pipelines.demo import Sample, show
data, folder, tasks = map(Path, sys.argv[1:])
sys.exit(0 if show(data, Sample(folder=folder, task="ball", tasks=tasks)) else 1)
"""
COMMAND = """
import os, time
from pipelines.embedded import server
with server(os.environ) as url:
    print(url, flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a command that brings its own server, for an operator whose home is empty."""
    root = tmp_path_factory.mktemp("demo")
    kept = {name: value for name, value in environment(root / "data" / "prefect").items() if name[:8] != "MEDFLOW_"}
    (root / "home").mkdir()
    return {**kept, "HOME": str(root / "home"), "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def shown(environ: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the demo prints on a small sample, and what it prints when it is run again."""
    sample = tmp_path_factory.mktemp("sample")
    labels = write_export(sample / "export", patients=16)
    (sample / "labels").mkdir()
    labels.rename(sample / "labels" / "ball.csv")
    data = Path(environ["PREFECT_HOME"]).parent
    words = [sys.executable, "-c", DEMO, str(data), str(sample), str(TASKS)]
    return [_output(words, environ) for _ in range(2)]


def test_the_demo_ends_with_a_table_that_a_person_can_read(shown: list[str]) -> None:
    for words in ("files", "series", "training", "test roc auc", "n =", "predictions", "verified: whole", "medflow.db"):
        assert words in shown[0]


def test_the_demo_run_again_adds_nothing(shown: list[str]) -> None:
    assert "(trained before)" not in shown[0]
    assert "(trained before)" in shown[1]
    assert "0 written now" in shown[1]


@pytest.mark.usefixtures("shown")
def test_prefect_leaves_the_operators_home_alone(environ: Mapping[str, str]) -> None:
    assert not (Path(environ["HOME"]) / ".prefect").exists()


@pytest.mark.usefixtures("shown")
def test_an_embedded_server_ends_with_its_block(environ: Mapping[str, str]) -> None:
    with server(environ) as url:
        assert _answers(url)

    assert not _answers(url)


@pytest.mark.usefixtures("shown")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_command_that_is_killed_leaves_no_server_behind(environ: Mapping[str, str], how: signal.Signals) -> None:
    words = [sys.executable, "-c", COMMAND]
    with subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, text=True, cwd=ROOT) as command:  # noqa: S603
        url = command.stdout.readline().strip() if command.stdout else ""
        assert _answers(url)
        command.send_signal(how)

    deadline = time.monotonic() + 30
    while _answers(url) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _answers(url)


def test_what_the_operator_set_for_another_server_is_not_the_demos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example.org/api")

    settled = environment(Path("demo"))

    assert "PREFECT_API_URL" not in settled
    assert settled["PREFECT_HOME"] == str(Path("demo").resolve())
    assert os.environ["PREFECT_API_URL"]


def _output(words: list[str], environ: Mapping[str, str]) -> str:
    done = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=300, cwd=ROOT, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    return done.stdout


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):  # noqa: S310  (loopback)
            return True
    except (urllib.error.URLError, OSError):
        return False
