"""A crash, a hang or a bomb in a codec costs one file: the next one decodes, and nothing is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from medflow.dicom import decoding
from medflow.dicom.decoder import Decoder, Frames, Patience, Process, decoder
from medflow.errors import Reason, SeriesError
from tests.dicom.packing import Values, jpeg_2000, smooth

BRIEF = Patience(seconds=0.05, seconds_of_a_mebibyte=0.0, stretch=10)


def frames(values: Values, *streams: bytes) -> Frames:
    return Frames(
        codec=decoding.JPEG_2000,
        streams=streams or [jpeg_2000(values, 16)],
        rows=values.shape[0],
        columns=values.shape[1],
        samples=1,
        dtype=values.dtype,
    )


SMALL = smooth(16)
GOOD = frames(SMALL)
NOISE = np.random.default_rng(3).integers(0, 1 << 16, (1500, 1500)).astype(np.uint16)
SLOW = frames(NOISE)
"""It takes a good part of a second."""
BAD = frames(SMALL, GOOD.streams[0][: len(GOOD.streams[0]) // 2])


@pytest.fixture
def ours() -> Iterator[Decoder]:
    found = Decoder(patience=Patience(seconds=20))
    yield found
    found.close()


def processes(found: Decoder) -> list[Process]:
    return found._idle  # noqa: SLF001


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def is_gone(pid: int) -> bool:
    for _ in range(200):
        if not is_running(pid):
            return True
        time.sleep(0.02)
    return False


def while_decoding(found: Decoder, then: Callable[[Process], None]) -> SeriesError:
    """Decode something slow, and do something to the process in the middle of it."""
    assert decodes(found)
    (process,) = processes(found)
    timer = threading.Timer(0.1, then, [process])
    timer.start()
    with pytest.raises(SeriesError) as refused:
        found.decode(SLOW)
    timer.join()
    return refused.value


def decodes(found: Decoder) -> bool:
    return np.array_equal(found.decode(GOOD)[0, :, :, 0], SMALL)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_codec_that_crashes_costs_one_file(ours: Decoder, number: signal.Signals) -> None:
    refusal = while_decoding(ours, lambda process: os.kill(children(process.pid)[0], number))

    assert refusal.reason is Reason.DECODER_FAILED
    assert decodes(ours)


def test_a_decoder_that_is_killed_altogether_is_started_again(ours: Decoder) -> None:
    refusal = while_decoding(ours, lambda process: os.killpg(process.pid, signal.SIGKILL))

    assert refusal.reason is Reason.DECODER_FAILED
    assert decodes(ours)


def test_a_decoder_that_was_killed_while_idle_costs_no_file(ours: Decoder) -> None:
    assert decodes(ours)
    (process,) = processes(ours)
    (worker,) = children(process.pid)
    os.kill(worker, signal.SIGSEGV)
    assert is_gone(worker)
    assert decodes(ours)

    os.killpg(process.pid, signal.SIGKILL)
    assert is_gone(process.pid)
    assert decodes(ours)


def test_a_codec_that_keeps_computing_is_ended() -> None:
    ours = Decoder(patience=BRIEF)

    with pytest.raises(SeriesError) as refused:
        ours.decode(SLOW)

    assert refused.value.reason is Reason.DECODER_FAILED
    assert decodes(ours)
    ours.close()


def test_a_decoder_that_does_not_answer_is_replaced() -> None:
    ours = Decoder(patience=BRIEF)
    assert decodes(ours)
    (process,) = processes(ours)
    os.killpg(process.pid, signal.SIGSTOP)

    with pytest.raises(SeriesError) as refused:
        ours.decode(GOOD)

    assert refused.value.reason is Reason.DECODER_FAILED
    assert is_gone(process.pid)
    assert decodes(ours)
    ours.close()


def test_a_codec_gets_memory_for_the_frame_that_was_announced_and_no_more(ours: Decoder) -> None:
    bomb = bytes(imagecodecs.jpeg2k_encode(np.zeros((9000, 9000), np.uint8), codecformat="j2k", reversible=True))

    with pytest.raises(SeriesError) as refused:
        ours.decode(frames(SMALL, bomb))

    assert len(bomb) < 100_000
    assert refused.value.reason in {Reason.DAMAGED_PIXELS, Reason.DECODER_FAILED}
    assert decodes(ours)
    (process,) = processes(ours)
    (limit,) = (
        line.split()[3]
        for line in Path(f"/proc/{children(process.pid)[0]}/limits").read_text().splitlines()
        if line.startswith("Max address space")
    )
    assert int(limit) < 1 << 32


def test_what_cannot_be_decoded_is_refused_by_a_worker_whose_memory_is_not_used_again(ours: Decoder) -> None:
    assert decodes(ours)
    (process,) = processes(ours)
    before = children(process.pid)

    with pytest.raises(SeriesError) as refused:
        ours.decode(BAD)

    assert refused.value.reason is Reason.DAMAGED_PIXELS
    assert decodes(ours)
    assert processes(ours) == [process]
    assert children(process.pid) != before


def test_frames_that_do_not_fit_into_the_usual_memory_are_decoded_too(ours: Decoder) -> None:
    values = np.zeros((3000, 3000), np.uint16)
    values[1234, 567] = 65535
    many = [smooth(16) ^ np.uint16(number) for number in range(64)]

    assert np.array_equal(ours.decode(frames(values))[0, :, :, 0], values)
    found = ours.decode(frames(SMALL, *(jpeg_2000(value, 16) for value in many)))

    assert np.array_equal(found[..., 0], np.stack(many))


def test_portions_follow_one_another_and_fit() -> None:
    several = frames(SMALL, *[GOOD.streams[0]] * 10)
    room = 3 * GOOD.size

    portions = list(several.portions(room))

    assert [number for some in portions for number in range(10)[some]] == list(range(10))
    assert all(frames(SMALL, *several.streams[some]).size <= room for some in portions)
    assert list(several.portions(1)) == [slice(number, number + 1) for number in range(10)]


def test_threads_share_a_few_processes_and_get_their_own_values() -> None:
    ours = Decoder(most=2)
    values = [SMALL ^ np.uint16(number) for number in range(24)]

    def decoded(number: int) -> bool:
        if number % 5 == 0:
            with pytest.raises(SeriesError):
                ours.decode(BAD)
        return np.array_equal(ours.decode(frames(values[number]))[0, :, :, 0], values[number])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(decoded, range(24)))
    assert len(processes(ours)) <= 2
    ours.close()


def test_a_fork_starts_its_own_decoder_and_leaves_ours_alone() -> None:
    assert decodes(decoder())
    pids = {process.pid for process in processes(decoder())}

    child = os.fork()
    if child == 0:
        os._exit(0 if decodes(decoder()) and not pids & {process.pid for process in processes(decoder())} else 1)
    _, status = os.waitpid(child, 0)

    assert status == 0
    assert decodes(decoder())
    assert pids <= {process.pid for process in processes(decoder())}


PARENT = """
import os, signal, sys
sys.path.insert(0, {root!r})
from tests.dicom.test_decoder import GOOD, children, decodes, decoder, processes
assert decodes(decoder())
keeper = processes(decoder())[0].pid
print(keeper, *children(keeper), flush=True)
{end}
"""


@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), signal.SIGKILL)", "raise SystemExit(3)"])
def test_no_decoder_outlives_who_started_it(end: str) -> None:
    root = str(Path(__file__).parents[2])
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", PARENT.format(root=root, end=end)], capture_output=True, text=True, check=False
    )

    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2
    assert all(map(is_gone, pids))
    assert not done.stderr


def test_a_decoder_that_is_closed_leaves_no_process(ours: Decoder) -> None:
    assert decodes(ours)
    (process,) = processes(ours)
    pids = [process.pid, *children(process.pid)]

    ours.close()

    assert not any(map(is_running, pids))
    assert process.pid not in children(os.getpid())


def test_what_codecs_write_to_the_standard_streams_reaches_nobody(
    capfd: pytest.CaptureFixture[str], ours: Decoder
) -> None:
    with pytest.raises(SeriesError):
        ours.decode(frames(SMALL, b"\xff\x4f\xff\x51Canary^Yellow" * 4))

    assert capfd.readouterr() == ("", "")
    assert decodes(ours)
    (process,) = processes(ours)
    for pid in (process.pid, *children(process.pid)):
        assert {str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in (0, 1, 2)} == {"/dev/null"}


def test_importing_the_decoder_starts_nothing_and_loads_no_codec() -> None:
    code = "import sys, medflow.dicom.pixels; print('imagecodecs' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603

    assert done.stdout.split() == ["False", "False"]
