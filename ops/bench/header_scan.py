"""Reading headers: files per second of `scan_folder` by one process and by several, against pydicom's own loop.

    PYTHONPATH=. python ops/bench/header_scan.py [--files 4000] [--workers N] [--memory 100000]

The headers are those of the sample's CT, its objects renamed as often as it takes and their pixels cut to 16 x 16, so
that headers are all there is to read. Every ratio is of medians of five rounds in one run, the files in the system's
cache; pydicom is asked for every value of each header, of which our scan needs some. The memory is what a scan of so
many files adds to a fresh process, at its peak and per file.
"""

import argparse
import os
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.uid import ExplicitVRLittleEndian
from timing import held_from_here, medians, most_held, peak

from medflow.dicom.scan import scan_folder
from sample_dicom.studies import chest_ct
from sample_dicom.subjects import subject

SIDE = 16
SERIES = 300
"""Files that bear one Series Instance UID."""


def templates() -> list[tuple[bytes, str, str]]:
    """Draw the slices of one CT, small: the bytes of each, its SOP Instance UID and its Series Instance UID."""
    drawn = []
    for file in chest_ct(subject("chest_ct", 1)):
        dataset = dcmread(DicomBytesIO(file.content))
        dataset.Rows = dataset.Columns = SIDE
        dataset.PixelData = bytes(2 * SIDE * SIDE)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        stream = DicomBytesIO()
        dataset.save_as(stream, enforce_file_format=True)
        drawn.append((stream.getvalue(), str(dataset.SOPInstanceUID), str(dataset.SeriesInstanceUID)))
    return drawn


def write(folder: Path, files: int) -> None:
    """Write so many objects, each under a UID of its own, into folders of one series each."""
    for number, (content, object_uid, series_uid) in enumerate(islice(cycle(templates()), files)):
        place = folder / f"{number // SERIES:05}"
        place.mkdir(exist_ok=True)
        renamed = content.replace(object_uid.encode(), _renamed(object_uid, number))
        (place / f"IM{number:07}").write_bytes(
            renamed.replace(series_uid.encode(), _renamed(series_uid, number // SERIES))
        )


def _renamed(uid: str, number: int) -> bytes:
    """Give another UID as long as this one."""
    return f"{uid[:-9]}1{number:08}".encode()


def read_by_pydicom(folder: Path) -> int:
    """Read every value of every header, as pydicom's users do."""
    read = 0
    for path, _, names in os.walk(folder):
        for name in names:
            dataset = dcmread(Path(path, name), stop_before_pixels=True)
            read += _values(dataset)
    return read


def _values(dataset: Dataset) -> int:
    return sum(element.value is not None for element in dataset.iterall())


def compare(files: int, workers: int) -> None:
    """Print files per second, and how they compare per core."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(folder, files)
        cases = {
            "pydicom, stop_before_pixels, every value": lambda: read_by_pydicom(folder),
            "scan_folder, 1 process": lambda: scan_folder(folder, workers=1),
            f"scan_folder, {workers} processes": lambda: scan_folder(folder, workers=workers),
        }
        taken = medians(cases)
    theirs, alone, together = taken.values()
    print(f"\n{files} headers, {len(os.sched_getaffinity(0))} cores")
    for name, seconds in taken.items():
        print(f"  {name:44} {seconds:8.3f} s  {files / seconds:8.0f} files/s  {theirs / seconds:6.2f} x pydicom")
    print(f"  {workers} processes against 1: {alone / together:.2f} x")


def compare_memory(files: int) -> None:
    """Print what a scan of so many files holds."""
    with tempfile.TemporaryDirectory() as temporary:
        write(Path(temporary), files)
        held = peak([__file__, "--scan-only", temporary])
    print(f"\n{files} files: {held / 2**20:.0f} MiB at the peak, {held / files:.0f} bytes a file")


def main() -> None:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--files", type=int, default=4000)
    options.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options.add_argument("--memory", type=int, default=100_000, help="files to measure the memory on; 0: none")
    options.add_argument("--scan-only", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.scan_only is not None:
        before = held_from_here()
        scan = scan_folder(chosen.scan_only)
        print(most_held() - before)
        sys.exit(not scan.seen)
    compare(chosen.files, max(2, chosen.workers))
    if chosen.memory:
        compare_memory(chosen.memory)


if __name__ == "__main__":
    main()
