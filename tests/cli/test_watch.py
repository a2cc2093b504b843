"""Facts about `medflow watch` as a process: files drop in, a series is taken in, a signal stops it cleanly."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.steps.exports import SLICES, write_series


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_series_dropped_file_by_file_is_taken_in_and_a_signal_stops_the_watch(
    tmp_path: Path, number: signal.Signals
) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MEDFLOW_")}
    command = [sys.executable, "-m", "medflow", "watch", str(drop), "--quiet", "1.5", "--interval", "0.2"]
    with subprocess.Popen(  # noqa: S603  (our own verb)
        command, cwd=tmp_path, env={**environ, "PYTHONPATH": str(Path(__file__).parents[2])}, stdout=subprocess.PIPE
    ) as process:
        for index in range(SLICES):
            write_series(drop, patient="PAT-1", slices=(index,))
            time.sleep(0.2)
        assert process.stdout is not None
        told = process.stdout.readline().decode()
        process.send_signal(number)
        code = process.wait(timeout=60)

    assert f"{SLICES} files seen, 1 series new" in told
    assert code == 0
    assert len(list(drop.iterdir())) == SLICES
