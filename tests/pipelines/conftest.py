"""A real Prefect server and a process worker for the session, and the house they serve, all in a temporary folder."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.embedded import environment
from tests.pipelines.export import CANARY, write_export

ROOT = Path(__file__).parents[2]
STARTUP = 120
TASKS = Path(__file__).with_name("tasks")


@dataclass(frozen=True, kw_only=True)
class Station:
    """What runs, and where it keeps what."""

    root: Path
    """All that the runs write lies below it; `inside` holds what may name a patient."""
    environ: Mapping[str, str]

    @property
    def inside(self) -> Path:
        """The export and its labels: where patients are named."""
        return self.root / f"inside-{CANARY}"

    @property
    def export(self) -> Path:
        """The folder that the source `export` is."""
        return self.inside / "export"

    @property
    def labels(self) -> Path:
        """Labels by original PatientID."""
        return self.inside / f"{CANARY}.csv"

    @property
    def data(self) -> Path:
        """The house's data folder."""
        return self.root / "data"

    def run(self, *words: str, code: int | None = 0, **extra: str) -> str:
        """Run a program of this environment (`medflow`, `prefect`) in the checkout; give its standard output."""
        return self.ran(*words, code=code, **extra).stdout

    def ran(self, *words: str, code: int | None = 0, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run such a program, and give all that is known of how it ended."""
        command = [sys.executable, "-m", *words] if words[0] == "prefect" else [*MEDFLOW, *words[1:]]
        done = subprocess.run(  # noqa: S603  (our own programs)
            command, cwd=ROOT, env={**self.environ, **extra}, capture_output=True, text=True, timeout=300, check=False
        )
        with (self.root / "commands.log").open("a", encoding="utf-8") as log:
            log.write(done.stdout + done.stderr)
        if code is not None:
            assert done.returncode == code, done.stdout + done.stderr
        return done


MEDFLOW = [sys.executable, "-c", "from medflow.cli import main; main()"]


@pytest.fixture(scope="session")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A server with medflow's deployments and a worker, beside a house whose export is full of canaries."""
    root = tmp_path_factory.mktemp("station")
    made = Station(root=root, environ=_environ(root, _free_port()))
    (root / "tmp").mkdir()
    write_export(made.export, patients=16)
    (root / "medflow.toml").write_text(
        f'data_dir = "{made.data}"\ntasks_dir = "{TASKS}"\n[sources]\nexport = "{made.export}"\n'
    )
    port = made.environ["PREFECT_API_URL"].split(":")[-1].partition("/")[0]
    server = ("server", "start", "--host", "127.0.0.1", "--port", port, "--no-ui")
    with _going(made, "server", *server):
        _wait_for(made.environ["PREFECT_API_URL"])
        made.run("prefect", "--no-prompt", "work-pool", "create", "medflow", "--type", "process")
        made.run("prefect", "--no-prompt", "deploy", "--all")
        with _going(made, "worker", "worker", "start", "--pool", "medflow", "--type", "process"):
            yield made


@pytest.fixture(scope="session")
def night(station: Station) -> dict[str, str]:
    """How a first night ended: ingest and train asked for in a word, labels by hand, then Prefect's own words."""
    ended = {"ingest": _asked(station, "ingest")}
    station.run("medflow", "labels", "import", str(station.labels), "--source", "reading", code=1)
    ended["train"] = _asked(station, "train", "--param", "task=ball")
    station.run("prefect", "deployment", "run", "nightly/nightly", "--watch")
    return ended


def _asked(station: Station, *words: str) -> str:
    state: str = json.loads(station.run("medflow", "run", *words, "--wait", "--json"))["state"]
    return state


def _environ(root: Path, port: int) -> dict[str, str]:
    inherited = {name: value for name, value in environment(root / "prefect").items() if name[:8] != "MEDFLOW_"}
    return {
        **inherited,
        "PYTHONPATH": str(ROOT),  # this checkout, whatever else is installed
        "HOME": str(root / "home"),
        "TMPDIR": str(root / "tmp"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_LOGGING_LEVEL": "DEBUG",  # the boundary holds for whatever is logged
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
        "MEDFLOW_CONFIG": str(root / "medflow.toml"),
    }


@contextmanager
def _going(made: Station, name: str, *words: str) -> Iterator[None]:
    """Keep one of Prefect's programs going; end it, and only it, afterwards."""
    with (made.root / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  (Prefect's own programs)
            [sys.executable, "-m", "prefect", *words], cwd=ROOT, env=made.environ, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + STARTUP
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):  # noqa: S310  (loopback)
                return
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < deadline, "Prefect's server did not start"
            time.sleep(0.2)
