"""Facts about what an exception means."""

from pathlib import Path

import pytest

from medflow.dicom.scan import Scan
from medflow.domain.series import FileState, SetAside, SourceFile
from medflow.errors import BatchError, ConfigurationError, Reason, SeriesError
from medflow.steps.settle import FEW, Settler, check_scan


def _raise(error: BaseException) -> None:
    raise error


def test_what_work_makes_is_handed_on() -> None:
    assert Settler().settle(lambda: 7) == 7


def test_a_refusal_is_handed_back() -> None:
    refusal = SeriesError(Reason.NO_SUV, "PatientWeight")

    assert Settler().settle(lambda: _raise(refusal)) is refusal


def test_a_refusal_is_found_in_what_a_library_wrapped_around_it() -> None:
    def wrapped() -> None:
        try:
            _raise(SeriesError(Reason.DAMAGED_PIXELS))
        except SeriesError as error:
            raise RuntimeError("applying transform") from error

    outcome = Settler().settle(wrapped)

    assert isinstance(outcome, SeriesError)
    assert outcome.reason is Reason.DAMAGED_PIXELS


def test_a_stop_goes_on() -> None:
    with pytest.raises(ConfigurationError):
        Settler().settle(lambda: _raise(ConfigurationError("no such folder")))


def test_a_bug_costs_one_series_and_its_message_is_kept_to_itself() -> None:
    outcome = Settler().settle(lambda: _raise(ValueError("DOE^JANE")))

    assert isinstance(outcome, SeriesError)
    assert outcome.reason is Reason.UNEXPECTED_ERROR
    assert "ValueError" in outcome.detail
    assert "DOE" not in str(outcome)


def test_more_than_a_few_bugs_stop_the_run() -> None:
    settler = Settler()
    for _ in range(FEW):
        settler.settle(lambda: _raise(ValueError("DOE^JANE")))

    with pytest.raises(BatchError, match="4 of 4") as stop:
        settler.settle(lambda: _raise(ValueError("DOE^JANE")))
    assert "DOE" not in str(stop.value)


def test_a_few_bugs_in_a_thousand_series_do_not() -> None:
    settler = Settler(tried=1000)

    for _ in range(FEW + 1):
        assert isinstance(settler.settle(lambda: _raise(ValueError("x"))), SeriesError)


def scan_with(unexpected: int) -> Scan:
    files = [SourceFile(path=Path("x"), relative=str(number), size=1, mtime_ns=1) for number in range(100)]
    reasons = [Reason.UNEXPECTED_ERROR if number < unexpected else Reason.NOT_DICOM for number in range(100)]
    state = FileState.QUARANTINED
    return Scan(
        series=(), set_aside=tuple(SetAside(file=f, state=state, reason=r) for f, r in zip(files, reasons, strict=True))
    )


def test_a_few_files_that_nobody_foresaw_are_set_aside_and_many_stop_the_run() -> None:
    check_scan(scan_with(3))

    with pytest.raises(BatchError):
        check_scan(scan_with(4))
