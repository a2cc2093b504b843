"""How the benchmarks measure: cases in turn, medians of several rounds, peaks of processes of their own."""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROUNDS = 5


def medians(
    cases: Mapping[str, Callable[[], object]],
    rounds: int = ROUNDS,
    *,
    clock: Callable[[], float] = time.perf_counter,
    between: Callable[[], object] = lambda: None,
) -> dict[str, float]:
    """Run every case once to warm up, then `rounds` times in turn; give the median of each (s, by `clock`).

    `between` clears away what a case left; its time is not counted.
    """
    for case in cases.values():
        between()
        case()
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            between()
            start = clock()
            case()
            taken[name].append(clock() - start)
    between()
    return {name: statistics.median(times) for name, times in taken.items()}


def processor_seconds() -> float:
    """Give the processor time (s) that this process took, and all those that it started and saw end."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def peak(arguments: Sequence[str]) -> int:
    """Run this Python with `arguments`; it prints the bytes it took, as `most_held` measures them."""
    command = [sys.executable, *arguments]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])  # noqa: S603


def held_from_here() -> int:
    """Forget the most memory that this process ever held, and give what it holds now (bytes; Linux)."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    return _status("VmRSS")


def most_held() -> int:
    """Give the most memory (bytes) held since `held_from_here`."""
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def table(title: str, rows: Mapping[str, float], against: str) -> None:
    """Print seconds, and how each compares with one of them."""
    print(f"\n{title}")
    for name, seconds in rows.items():
        print(f"  {name:58} {seconds:8.3f} s   {seconds / rows[against]:6.2f} x")
