"""Asking the PACS how many objects a series has: C-FIND (PS3.4 C.6.2) or QIDO-RS (PS3.18 10.6), and nothing else.

A PACS that does not answer is no evidence, and it never stops a night: after a few failures in a row the rest of the
run goes on without asking. What it is asked quotes original UIDs, so nothing of it is logged or raised.
"""

import base64
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any, Protocol
from urllib.error import URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]  # made at run time

from medflow.dicom.hush import SILENT, hushed
from medflow.dicom.pacs import Pacs
from medflow.dicom.tags import Tag

FIND = StudyRootQueryRetrieveInformationModelFind
SUCCESS, PENDING = 0x0000, frozenset({0xFF00, 0xFF01})
LONGEST_ANSWER = 32 * 1024 * 1024
"""Bytes of a QIDO-RS answer; one of ten thousand instances takes a tenth."""
PATIENCE = 3
"""Questions in a row without an answer after which the PACS is not asked any more."""
FAILURES = (OSError, HTTPException, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError)
"""What a network and an answer of any shape can end in."""


class _Answers(Protocol):
    """Whoever knows how many objects a series has; None where it does not know the series."""

    def related(self, study: str, series: str) -> int | None: ...

    def close(self) -> None: ...


class Asking:
    """One run's questions to the PACS, counted."""

    def __init__(self, pacs: tuple[Pacs, ...]) -> None:
        self._lines: list[_Answers] = [_Find(one) if one.title else _Qido(one) for one in pacs]
        self._failures = 0
        self.asked = self.answered = 0

    def related(self, study: str, series: str) -> int | None:
        """Ask how many objects a series has (original UIDs); None where no PACS knows, or none answers."""
        if not self._lines or self.gave_up:
            return None
        self.asked += 1
        reached = False
        for line in self._lines:
            try:
                count = line.related(study, series)
            except FAILURES:
                continue
            reached = True
            if count is not None:
                self._failures = 0
                self.answered += 1
                return count
        self._failures = 0 if reached else self._failures + 1
        return None

    @property
    def gave_up(self) -> bool:
        """True where the PACS is not asked any more in this run."""
        return self._failures >= PATIENCE

    def record(self) -> dict[str, Any]:
        """Say what became of the questions: counts, and no UIDs."""
        return {"asked": self.asked, "answered": self.answered, "gave_up": self.gave_up}

    def close(self) -> None:
        """Release what is open."""
        for line in self._lines:
            line.close()


@contextmanager
def asking(pacs: tuple[Pacs, ...]) -> Iterator[Asking]:
    """Let one run ask; without a PACS every answer is None. pynetdicom's log quotes UIDs: it is silent meanwhile."""
    logger = logging.getLogger("pynetdicom")
    level = logger.level
    logger.setLevel(SILENT)
    questions = Asking(pacs)
    try:
        yield questions
    finally:
        questions.close()
        logger.setLevel(level)


class _Find:
    """Asks by C-FIND over one association, opened when it is needed and again when it was lost."""

    def __init__(self, pacs: Pacs) -> None:
        self._pacs = pacs
        self._association: Association | None = None

    def related(self, study: str, series: str) -> int | None:
        """Ask at the SERIES level; count at the IMAGE level where the PACS does not keep the number."""
        query = Dataset()
        query.QueryRetrieveLevel = "SERIES"
        query.StudyInstanceUID, query.SeriesInstanceUID = study, series
        query.NumberOfSeriesRelatedInstances = None
        found = self._find(query)
        if not found:
            return None
        if len(found) == 1 and found[0].get("NumberOfSeriesRelatedInstances") not in {None, ""}:
            return int(found[0].NumberOfSeriesRelatedInstances)
        del query.NumberOfSeriesRelatedInstances
        query.QueryRetrieveLevel, query.SOPInstanceUID = "IMAGE", ""
        return len({str(one.SOPInstanceUID) for one in self._find(query)}) or None

    def close(self) -> None:
        """Release the association."""
        if self._association is not None and self._association.is_established:
            self._association.release()
        self._association = None

    def _find(self, query: Dataset) -> list[Dataset]:
        found = []
        status = None
        with hushed():
            for answer, identifier in self._open().send_c_find(query, FIND):
                status = answer.get("Status")
                if status in PENDING and identifier is not None:
                    found.append(identifier)
        if status != SUCCESS:
            self.close()
            raise ConnectionError("the PACS did not finish its answer")
        return found

    def _open(self) -> Association:
        if self._association is None or not self._association.is_established:
            pacs = self._pacs
            entity = AE(ae_title=pacs.own_title)
            entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = pacs.timeout
            entity.connection_timeout = pacs.timeout
            entity.add_requested_context(FIND)
            self._association = entity.associate(pacs.host, pacs.port or 0, ae_title=pacs.title)
        if not self._association.is_established:
            self._association = None
            raise ConnectionError("the PACS refuses the association")
        return self._association


class _Qido:
    """Asks by QIDO-RS, one request for each question."""

    def __init__(self, pacs: Pacs) -> None:
        self._pacs = pacs

    def related(self, study: str, series: str) -> int | None:
        """Search for the series; count its instances where the PACS does not keep the number."""
        number = f"{Tag.NumberOfSeriesRelatedInstances:08X}"
        wanted = urlencode({"SeriesInstanceUID": series, "includefield": number})
        found = self._get(f"studies/{quote(study)}/series?{wanted}")
        if not found:
            return None
        values = found[0].get(number, {}).get("Value", [])
        if len(found) == 1 and values:
            return int(values[0])
        return len(self._get(f"studies/{quote(study)}/series/{quote(series)}/instances")) or None

    def close(self) -> None:
        """Nothing stays open."""

    def _get(self, place: str) -> list[dict[str, Any]]:
        headers = {"Accept": "application/dicom+json"}
        if self._pacs.account:
            spelled = base64.b64encode(self._pacs.account.encode()).decode("ascii")
            headers["Authorization"] = f"Basic {spelled}"
        request = Request(f"{self._pacs.url}/{place}", headers=headers)  # noqa: S310  (http or https: `_pacs` saw to it)
        try:
            with urlopen(request, timeout=self._pacs.timeout) as answer:  # noqa: S310
                content = answer.read(LONGEST_ANSWER + 1)
        except URLError:
            raise ConnectionError("the PACS does not answer") from None
        if len(content) > LONGEST_ANSWER:
            raise ValueError("the answer is too long")
        found = json.loads(content) if content.strip() else []
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise ValueError("the answer is no list of data sets")
        return found
