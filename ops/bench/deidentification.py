"""Files that the de-identification engine does in a second of one processor, beside dicom-anonymizer and pydicom.

    PYTHONPATH=. python ops/bench/deidentification.py [--slices 300] [--rounds 5] [--memory 150] [--only CASE]

A CT of 512 x 512 is drawn three times: with the few attributes that its modules require, with the header of a scanner
(nested sequences, people, orders, doses, references, private blocks), and with as many private elements as the
chattiest scanners write. Every peer works on the same files in the same run, taken in turn; counted is processor time,
our own and that of all processes that we start, so that neither the disk nor another program decides. From folder to
folder it does all that the tool does: scan, layout, stray bits, trailing bytes, the look for text, files flushed to
disk. The engine alone is the house's step behind scan and layout, with every digest and the record on top.
Compressed pixels, several processes and the memory of N and 4 N files follow apart.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

from dicomanonymizer import anonymize_dicom_file
from exports import ROOT, write_ct
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless
from timing import held_from_here, medians, most_held, peak, processor_seconds

from medflow.deid.profile import default_profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.series import Source, deidentify_series
from medflow.dicom.decoder import decoder
from medflow.dicom.facts import intensity_facts
from medflow.dicom.layout import lay_out
from medflow.dicom.scan import scan_folder
from medflow.steps.deidentify import deidentify

HOUSE = Pseudonyms(key=bytes(range(32)), default_issuer="")
NOBODY = Source(name="", site="")
CHATTY = 300
"""Private elements that some scanners write into every slice, a few of which differ from slice to slice."""


def clinical(ds: Dataset, number: int) -> None:
    """Give a slice what a scanner in a hospital writes: people, orders, doses, references, private blocks."""
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.InstanceCreationDate, ds.InstanceCreationTime = "20250102", f"0815{number % 60:02}.{number:06}"
    ds.AcquisitionTime = ds.ContentTime = f"0815{number % 60:02}.{number:06}"
    ds.InstitutionName, ds.InstitutionAddress, ds.StationName = "Hospital of Nowhere", "1 Any Street", "CT-1"
    ds.PerformingPhysicianName, ds.OperatorsName, ds.PhysiciansOfRecord = "Perform^P", "Operate^O", "Record^R"
    ds.StudyDescription, ds.ProtocolName = "CT Thorax with contrast", "Thorax^Routine (Adult)"
    ds.SoftwareVersions, ds.DeviceSerialNumber, ds.DateOfLastCalibration = "VA48A", "12345", "20250101"
    ds.PatientAge, ds.PatientWeight, ds.PatientSize = "064Y", "80", "1.8"
    ds.AdditionalPatientHistory, ds.PatientComments = "cough for two weeks", "arrived by taxi"
    ds.DataCollectionDiameter, ds.ReconstructionDiameter = "500", "358"
    ds.DistanceSourceToDetector, ds.DistanceSourceToPatient, ds.GantryDetectorTilt = "1085.6", "595", "0"
    ds.TableHeight, ds.RotationDirection, ds.FilterType, ds.FocalSpots = "151.5", "CW", "FLAT", "1.2"
    ds.ExposureTime, ds.XRayTubeCurrent, ds.Exposure, ds.GeneratorPower = "500", str(200 + number % 40), "100", "24"
    ds.SingleCollimationWidth, ds.TotalCollimationWidth, ds.TableSpeed, ds.SpiralPitchFactor = 0.6, 38.4, 46.0, 1.2
    ds.CTDIvol, ds.EstimatedDoseSaving = 6.75, 12.5
    ds.ContrastBolusAgent, ds.ContrastBolusVolume, ds.ContrastFlowRate = "APPLIED", "90", "3"
    ds.SliceLocation = f"{-300 + number}"
    ds.WindowCenter, ds.WindowWidth = ["40", "-600"], ["400", "1200"]
    ds.WindowCenterWidthExplanation = ["WINDOW1", "WINDOW2"]
    ds.SmallestImagePixelValue, ds.LargestImagePixelValue, ds.PixelPaddingValue = 0, 2000 + number % 90, -2000
    ds.RequestedProcedureDescription, ds.RequestingPhysician = "CT Thorax", "Request^R"
    ds.PerformedProcedureStepStartDate, ds.PerformedProcedureStepStartTime = "20250102", "080000"
    ds.PerformedProcedureStepID, ds.PerformedProcedureStepDescription = "P1", "CT Thorax"
    ds.RequestAttributesSequence = Sequence([_item(ScheduledProcedureStepID="S1", RequestedProcedureID="R1")])
    ds.CTDIPhantomTypeCodeSequence = Sequence([_code("113691", "DCM", "IEC Body Dosimetry Phantom")])
    ds.ProcedureCodeSequence = Sequence([_code("CTTHX", "99NOWHERE", "CT Thorax")])
    ds.ReferencedStudySequence = Sequence([_reference("1.2.840.10008.3.1.2.3.1", f"{ROOT}.1")])
    ds.ReferencedImageSequence = Sequence([_reference("1.2.840.10008.5.1.4.1.1.2", f"{ROOT}.9.{n}") for n in range(2)])
    image = _reference("1.2.840.10008.5.1.4.1.1.2", f"{ROOT}.8.{number}")
    image.PurposeOfReferenceCodeSequence = Sequence([_code("121322", "DCM", "Source image for processing operation")])
    ds.SourceImageSequence = Sequence([image])
    siemens = ds.private_block(0x0019, "SIEMENS CT VA0  COAD", create=True)
    siemens.add_new(0x10, "IS", "0")
    siemens.add_new(0x90, "DS", f"{number * 0.7:.4f}")
    header = ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    header.add_new(0x10, "OB", bytes(range(256)) * 8 + number.to_bytes(2, "little"))
    header.add_new(0x20, "OB", bytes(2048))
    own = ds.private_block(0x0009, "NOWHERE PRIVATE", create=True)
    for element in range(0x10, 0x20):
        own.add_new(element, "LO", f"kept by nobody {element}")


def _item(**values: str) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _reference(sop_class: str, uid: str) -> Dataset:
    return _item(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=uid)


def chatty(ds: Dataset, number: int) -> None:
    """Give a slice a scanner's header, and the private elements of one that tells all that it knows."""
    clinical(ds, number)
    for block in range(CHATTY // 60):
        group = ds.private_block(0x0019 + 2 * block, f"NOWHERE_ACQU_{block:02}", create=True)
        for element in range(60):
            vr, value = (("DS", "12.5"), ("IS", "7"), ("SH", "NOTHING"), ("LO", "said before"))[element % 4]
            group.add_new(element, vr, f"{number}" if element == 1 else value)


def by_dicom_anonymizer(export: Path, out: Path) -> None:
    """Anonymize every file by dicom-anonymizer's own function."""
    out.mkdir()
    with open(os.devnull, "w", encoding="ascii") as nowhere, redirect_stdout(nowhere):  # noqa: PTH123
        for path in sorted(export.iterdir()):
            anonymize_dicom_file(str(path), str(out / path.name))


def by_pydicom(export: Path, out: Path) -> None:
    """Read and write every file, and do nothing to it."""
    out.mkdir()
    for path in sorted(export.iterdir()):
        dcmread(path).save_as(out / path.name)


def by_medflow(export: Path, out: Path, processes: int = 1) -> None:
    """Do all that `medflow deidentify` does."""
    report = deidentify(export, out, pseudonyms=HOUSE, profile=default_profile(), processes=processes)
    if not report.clean or report.files.accepted != report.files.seen:
        sys.exit("medflow did not let every file through")
    decoder().close()  # so that its processor time is counted, too


def engine_only(export: Path) -> Callable[[Path], object]:
    """Prepare the step that is left when the folder is scanned and laid out."""
    laid = lay_out(scan_folder(export).series[0])
    return lambda out: deidentify_series(
        laid.series,
        laid.layouts,
        intensity_facts(laid.series),
        pseudonyms=HOUSE,
        profile=default_profile(),
        source=NOBODY,
        root=out,
    )


def compare(title: str, export: Path, cases: dict[str, Callable[[Path], object]], rounds: int) -> None:
    """Print files per processor second of each case, and how many times as many as the first case's these are."""
    out = export.parent / "out"
    files = sum(path.is_file() for path in export.rglob("*"))
    taken = medians(
        {name: partial(work, out) for name, work in cases.items()},
        rounds,
        clock=processor_seconds,
        between=lambda: shutil.rmtree(out, ignore_errors=True),
    )
    first = next(iter(taken.values()))
    print(f"\n{title}: {files} files, {sum(1 for _ in dcmread(next(export.rglob('IM*'))))} elements each", flush=True)
    for name, seconds in taken.items():
        each = f"{seconds / files * 1e3:8.2f} ms a file {files / seconds:8.0f} files/s"
        print(f"  {name:44} {each} {first / seconds:7.2f} x", flush=True)


def uncompressed(room: Path, slices: int, rounds: int) -> None:
    """Compare the peers over each of the headers."""
    headers = {"the fewest attributes": lambda _, __: None, "a scanner's header": clinical, "a chatty scanner": chatty}
    for number, (title, dress) in enumerate(headers.items()):
        export = write_ct(room / f"{number}" / "export", slices=slices, dress=dress)
        cases: dict[str, Callable[[Path], object]] = {
            "dicom-anonymizer": partial(by_dicom_anonymizer, export),
            "pydicom, read and write": partial(by_pydicom, export),
            "medflow, folder to folder": partial(by_medflow, export),
            "medflow, the engine alone": engine_only(export),
        }
        compare(title, export, cases, rounds)
        shutil.rmtree(export)


def compressed(room: Path, slices: int, rounds: int) -> None:
    """Compare over compressed pixels, which medflow alone decodes and looks at."""
    plain = write_ct(room / "plain", slices=slices, dress=clinical)
    for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        export = room / syntax.name / "export"
        export.mkdir(parents=True)
        for path in sorted(plain.iterdir()):
            ds = dcmread(path)
            ds.compress(syntax, generate_instance_uid=False)
            ds.save_as(export / path.name)
        cases: dict[str, Callable[[Path], object]] = {
            "dicom-anonymizer (pixels as they come)": partial(by_dicom_anonymizer, export),
            "medflow, folder to folder": partial(by_medflow, export),
        }
        compare(syntax.name, export, cases, rounds)
        shutil.rmtree(export)


def several(room: Path, slices: int, rounds: int) -> None:
    """Print what a second process brings, by the clock on the wall and in processor time."""
    export = room / "several"
    for number in range(4):
        write_ct(export / f"{number}", slices=slices // 4, dress=partial(of_series, series=number))
    out = room / "out"
    for name, clock in (("wall clock", time.perf_counter), ("processor time", processor_seconds)):
        taken = medians(
            {str(count): partial(by_medflow, export, out, processes=count) for count in (1, 2)},
            rounds,
            clock=clock,
            between=lambda: shutil.rmtree(out, ignore_errors=True),
        )
        print(f"\n4 series, {slices} files, 2 processes against 1, {name}: {taken['1'] / taken['2']:.2f} x", flush=True)


def of_series(ds: Dataset, number: int, *, series: int) -> None:
    """Make a slice one of another series."""
    clinical(ds, number)
    ds.SeriesInstanceUID, ds.SOPInstanceUID = f"{ds.SeriesInstanceUID}.{series}", f"{ds.SOPInstanceUID}.{series}"


def memory(room: Path, files: int) -> None:
    """Print the most memory that N and 4 N files take."""
    held = {}
    for count in (files, 4 * files):
        export = write_ct(room / "memory", slices=count, dress=clinical)
        held[count] = peak([__file__, "--alone", str(export)])
        shutil.rmtree(export)
    few, many = held.values()
    print(f"\nmemory: {few / 2**20:.1f} MiB for {files} files, {many / 2**20:.1f} MiB for {4 * files}", flush=True)


CASES = ("uncompressed", "several", "compressed", "memory")


def main() -> None:
    """Read the options and measure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--slices", type=int, default=300)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--memory", type=int, default=150, help="files of the smaller series")
    options.add_argument("--only", choices=CASES)
    options.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        room = Path(temporary)
        if chosen.alone is not None:
            before = held_from_here()
            by_medflow(chosen.alone, room / "out")
            print(most_held() - before)
            return
        wanted = (chosen.only,) if chosen.only else CASES
        if "uncompressed" in wanted:
            uncompressed(room, chosen.slices, chosen.rounds)
        if "several" in wanted:
            several(room, chosen.slices, chosen.rounds)
        if "compressed" in wanted:
            compressed(room, chosen.slices // 4, chosen.rounds)
        if "memory" in wanted:
            memory(room, chosen.memory)


if __name__ == "__main__":
    main()
