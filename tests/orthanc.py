"""A real PACS for the tests: Debian's Orthanc with its DICOMweb plugin, on free ports, thrown away afterwards."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

from pydicom import Dataset

from tests.dicom.drawn import written

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
TITLE = "ORTHANC"
PATIENCE = 30.0


class NoOrthanc(Exception):
    """There is no Orthanc here that could be started."""


@dataclass(frozen=True)
class Orthanc:
    """A running server on this machine."""

    dicom_port: int
    http_port: int

    @property
    def dicom(self) -> str:
        """Address it as a DIMSE peer."""
        return f"dicom://{TITLE}@127.0.0.1:{self.dicom_port}"

    @property
    def web(self) -> str:
        """Address its DICOMweb service."""
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def store(self, *datasets: Dataset) -> None:
        """Put objects into it."""
        for dataset in datasets:
            request = Request(f"http://127.0.0.1:{self.http_port}/instances", data=written(dataset))
            urlopen(request, timeout=PATIENCE).close()  # noqa: S310


@contextmanager
def orthanc_in(folder: Path) -> Iterator[Orthanc]:
    """Start a server whose files lie in `folder`.

    Raises:
        NoOrthanc: it is not installed, or does not start.
    """
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None or not PLUGIN.exists():
        raise NoOrthanc("Debian's packages orthanc and orthanc-dicomweb are not installed")
    server = Orthanc(dicom_port=free_port(), http_port=free_port())
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "HttpPort": server.http_port,
        "DicomPort": server.dicom_port,
        "DicomAet": TITLE,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowStore": True,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUGIN)],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)  # noqa: S603
    try:
        _wait_for(process, server)
        yield server
    finally:
        process.terminate()
        process.wait(PATIENCE)


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(process: subprocess.Popen[bytes], server: Orthanc) -> None:
    stop = time.monotonic() + PATIENCE
    while time.monotonic() < stop and process.poll() is None:
        try:
            for port in (server.http_port, server.dicom_port):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise NoOrthanc("Orthanc does not start")
