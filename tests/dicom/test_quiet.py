"""A file is taken in when it has been the same for a while."""

from pathlib import Path

from medflow.dicom.quiet import Quiet
from medflow.domain.series import SourceFile


def seen(size: int, mtime_ns: int = 1) -> SourceFile:
    return SourceFile(path=Path("x"), relative="x", size=size, mtime_ns=mtime_ns)


def test_a_file_is_quiet_when_nothing_changed_for_a_while() -> None:
    quiet = Quiet()
    quiet.observe([seen(1)], now=0.0)
    quiet.observe([seen(1)], now=10.0)

    assert quiet.quiet(seen(1), seconds=10.0, now=10.0)
    assert not quiet.quiet(seen(1), seconds=11.0, now=10.0)


def test_growth_and_rewriting_start_the_clock_again() -> None:
    quiet = Quiet()
    for now, file in ((0.0, seen(1)), (5.0, seen(2)), (9.0, seen(2, mtime_ns=2))):
        quiet.observe([file], now=now)

    assert not quiet.quiet(seen(2, mtime_ns=2), seconds=5.0, now=10.0)
    assert quiet.quiet(seen(2, mtime_ns=2), seconds=5.0, now=14.0)


def test_a_file_that_was_never_seen_or_went_away_is_not_quiet() -> None:
    quiet = Quiet()
    quiet.observe([seen(1)], now=0.0)
    quiet.observe([], now=1.0)

    assert not quiet.quiet(seen(1), seconds=0.5, now=9.0)
