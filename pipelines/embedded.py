"""Prefect's server for the length of one command: its home, database and log lie in a folder of ours.

As a program (`python -m pipelines.embedded`) it is that server. It takes a free port of the loopback device, prints
the port, and ends when its standard input does: not even a killed command leaves a server behind.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from medflow.errors import StateError

LOOPBACK = "127.0.0.1"
STARTUP = 120
"""Seconds; 20 to 45 are usual for a first start on two cores."""
GRACE = 10
"""Seconds that the server has to end by itself."""


def environment(home: Path) -> dict[str, str]:
    """Spell the environment in which Prefect keeps everything in `home`, whatever the operator has set for others.

    Prefect reads it when it is imported.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {
        **inherited,
        "PREFECT_HOME": str(home.resolve()),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
        "NO_PROXY": ",".join(filter(None, [LOOPBACK, inherited.get("NO_PROXY", "")])),
    }


@contextmanager
def server(environ: Mapping[str, str]) -> Iterator[str]:
    """Start a server in the environment that `environment` spelled; give its API's URL; end it afterwards.

    Raises:
        StateError: it did not start.
    """
    home = Path(environ["PREFECT_HOME"])
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.embedded"],
            env={**environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches the command alone, which writes its last states first
        )
    try:
        yield _answering(process)
    finally:
        _end(process)


def _answering(process: subprocess.Popen[bytes]) -> str:
    """Wait until the server answers."""
    deadline = time.monotonic() + STARTUP
    port = process.stdout.readline().strip() if process.stdout else b""
    url = f"http://{LOOPBACK}:{port.decode()}/api"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while port and process.poll() is None and time.monotonic() < deadline:
        try:
            with opener.open(f"{url}/health", timeout=5):
                return url
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise StateError("Prefect's server did not start; server.log in its home says why")


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()
    try:
        process.wait(timeout=GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _serve() -> None:
    """Be the server, until standard input ends."""
    import uvicorn
    from prefect.server.api.server import create_app

    listener = socket.create_server((LOOPBACK, 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    app = create_app(ephemeral=True, final=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on")).run(sockets=[listener])


def _end_with_parent() -> None:
    """Ask this process to end when nobody holds the other end of its standard input any more."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    _serve()
