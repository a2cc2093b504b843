"""Asking a PACS how many objects a series has: by C-FIND and QIDO-RS, of one that knows, does not, or is silent."""

import json
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]  # made at run time

from medflow.dicom.ask import PATIENCE, Asking, asking
from medflow.dicom.pacs import pacs_of
from medflow.errors import ConfigurationError
from tests.dicom.drawn import stack, uid
from tests.orthanc import Orthanc, free_port

STUDY, SERIES = uid("asked study"), uid("asked series")


@pytest.fixture(scope="module", params=["dicom", "web"])
def address(request: pytest.FixtureRequest, orthanc: Orthanc) -> str:
    """Orthanc, which holds three slices of the series, by both ways to ask it."""
    slices = stack([0.0, 2.5, 5.0], StudyInstanceUID=STUDY, SeriesInstanceUID=SERIES)
    for number, one in enumerate(slices):
        one.SOPInstanceUID = uid("asked object", number)
    orthanc.store(*slices)
    return str(getattr(orthanc, request.param))


@contextmanager
def to(address: str, timeout: float = 10.0) -> Iterator[Asking]:
    with asking(pacs_of(address, own_title="MEDFLOW", timeout=timeout)) as questions:
        yield questions


def test_the_pacs_says_how_many_objects_a_series_has(address: str) -> None:
    with to(address) as questions:
        assert [questions.related(STUDY, SERIES) for _ in range(2)] == [3, 3]

        assert questions.record() == {"asked": 2, "answered": 2, "gave_up": False}


def test_a_series_that_the_pacs_does_not_know_is_no_evidence(address: str) -> None:
    with to(address) as questions:
        assert all(questions.related(STUDY, uid("unknown", n)) is None for n in range(PATIENCE + 1))
        assert questions.related(uid("unknown"), SERIES) is None
        assert questions.related(STUDY, SERIES) == 3


def test_without_a_pacs_nothing_is_asked() -> None:
    with asking(()) as questions:
        assert questions.related(STUDY, SERIES) is None
        assert questions.asked == 0


@contextmanager
def finder(number: str | None, status: int = 0xFF00) -> Iterator[str]:
    """A PACS of one series of two objects that says `number` of it, or does not keep the number."""

    def find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier
        for place in range(2 if asked.QueryRetrieveLevel == "IMAGE" else 1):
            answer = Dataset()
            answer.QueryRetrieveLevel = asked.QueryRetrieveLevel
            if asked.QueryRetrieveLevel == "IMAGE":
                answer.SOPInstanceUID = uid("kept", place)
            elif number is not None:
                answer.NumberOfSeriesRelatedInstances = number
            yield status, answer

    entity, port = AE(ae_title="KEEPER"), free_port()
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_FIND, find)])
    assert server is not None
    try:
        yield f"dicom://KEEPER@127.0.0.1:{port}"
    finally:
        server.shutdown()


@pytest.mark.parametrize("number", [None, ""])
def test_a_pacs_that_does_not_keep_the_number_is_asked_for_each_object(number: str | None) -> None:
    with finder(number) as address, to(address) as questions:
        assert questions.related(STUDY, SERIES) == 2


def test_a_pacs_that_fails_to_answer_is_no_evidence() -> None:
    with finder("2", status=0xC000) as address, to(address) as questions:
        assert questions.related(STUDY, SERIES) is None
        assert questions.record() == {"asked": 1, "answered": 0, "gave_up": False}


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ([{"00201209": {"vr": "IS", "Value": [7]}}], 7),
        ([{"0020000E": {"vr": "UI", "Value": ["1"]}}], 1),
        ("gone", None),
        ({"error": "x"}, None),
        ([{"00201209": {"vr": "IS", "Value": ["many"]}}], None),
        ([{"00201209": "odd"}], None),
        ([], None),
    ],
    ids=["kept", "counted", "text", "object", "no number", "no element", "nothing"],
)
def test_whatever_a_web_server_answers_is_a_number_or_no_evidence(body: Any, count: int | None) -> None:  # noqa: ANN401
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers["Authorization"] == "Basic bWU6c2VjcmV0"
            content = json.dumps(body if known else None).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with to(f"http://me:secret@127.0.0.1:{server.server_port}/dicom-web/") as questions:
            assert questions.related(STUDY, SERIES) == count
        server.shutdown()


@pytest.mark.parametrize("scheme", ["dicom://DEAF@", "http://"])
def test_a_pacs_that_is_silent_is_left_alone_after_a_few_tries(
    scheme: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf, caplog.at_level(logging.DEBUG):
        address = f"{scheme}127.0.0.1:{deaf.getsockname()[1]}"
        with to(address, timeout=0.2) as questions:
            answers = [questions.related(STUDY, SERIES) for _ in range(PATIENCE + 5)]

    assert answers == [None] * (PATIENCE + 5)
    assert questions.record() == {"asked": PATIENCE, "answered": 0, "gave_up": True}
    said = caplog.text + "".join(capfd.readouterr())
    assert STUDY not in said
    assert SERIES not in said


def test_the_next_pacs_is_asked_where_the_first_does_not_answer(address: str) -> None:
    with to(f"dicom://NOBODY@127.0.0.1:{free_port()}, {address}", timeout=2.0) as questions:
        assert questions.related(STUDY, SERIES) == 3


@pytest.mark.parametrize(
    "address",
    [
        "dicom://canary:104",
        "dicom://TITLE@canary",
        "dicom://CANARY_TOO_LONG_BY_FAR@canary:104",
        "dicom://TITLE@canary:port",
        "ftp://canary",
        "canary",
        "https://",
        "https://user:canary@host/path?secret=1",
    ],
)
def test_an_address_that_is_none_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(ConfigurationError, match="MEDFLOW_PACS") as refused:
        pacs_of(address, own_title="MEDFLOW", timeout=1.0)
    assert "canary" not in str(refused.value).lower()


def test_an_address_with_a_password_does_not_print_it() -> None:
    (pacs,) = pacs_of("https://me:secret@host:8443/dicom-web/", own_title="MEDFLOW", timeout=1.0)

    assert "secret" not in repr(pacs)
    assert (pacs.url, pacs.account) == ("https://host:8443/dicom-web", "me:secret")
