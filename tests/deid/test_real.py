"""Real series of several vendors: what comes out is valid, and shows the same volume. Skipped where they are absent."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from medflow.deid.profile import Profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.series import Source, deidentify_series, source_sha256s
from medflow.dicom.facts import intensity_facts
from medflow.dicom.hush import hushed
from medflow.dicom.layout import lay_out
from medflow.dicom.pixels import read_stored_values
from medflow.dicom.scan import scan_folder
from medflow.domain.safe import DeidentifiedSeries
from medflow.domain.series import Series
from medflow.errors import SeriesError

DATA = Path(os.environ.get("MEDFLOW_REAL_DATA", Path(__file__).parents[2] / "../shared/data")) / "dicom"
VALIDATOR = shutil.which("dciodvfy") or shutil.which("dciodvfy", path=str(Path(sys.executable).parent))
FOLDERS = (
    "compressed", "ct_digital_phantom", "ct_head_tilted_ge", "mr_agfa_rewritten", "mr_dual_echo_philips", "mr_enhanced",
    "mr_localizers_ge", "mr_t1_siemens", "pet_ge_raw", "odd_files", "refusals", "petctmr_cohort/STS_002",
)  # fmt: skip

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="no real data: set MEDFLOW_REAL_DATA to the folder that holds dicom/"
)


def errors(path: Path) -> Counter[str]:
    assert VALIDATOR is not None
    run = subprocess.run([VALIDATOR, str(path)], capture_output=True, text=True, errors="replace", check=False)  # noqa: S603
    # a UID that stands where it should not is another one afterwards, and no other error
    lines = (re.sub(r"<[\d.]+>", "<UID>", line) for line in run.stderr.splitlines())
    return Counter(line for line in lines if line.startswith("Error"))


def names_in(path: Path) -> set[bytes]:
    """Collect the longer words of the names and numbers that a file gives its patient."""
    with hushed():
        ds = dcmread(path, stop_before_pixels=True, force=True)
        texts = [
            str(ds.get(keyword, "")) for keyword in ("PatientName", "PatientID", "AccessionNumber", "OperatorsName")
        ]
    return {word.encode() for text in texts for word in re.findall(r"[A-Za-z0-9]{6,}", text)}


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
def test_real_series_come_out_valid_nameless_and_the_same_volume(
    name: str, tmp_path: Path, pseudonyms: Pseudonyms, profile: Profile
) -> None:
    done = 0
    for series in scan_folder(DATA / name).series:
        try:
            original, safe = _deidentified(series, tmp_path, pseudonyms, profile)
        except SeriesError:
            continue  # refused before anything is written; which and why is the reader's business
        done += 1
        for place in {0, len(safe.files) - 1}:
            before, after = original.instances[place].file.path, safe.folder / safe.files[place].name
            assert np.array_equal(read_stored_values(before), read_stored_values(after))
            assert not [word for word in names_in(before) if word in after.read_bytes()]
            if VALIDATOR is not None:
                assert not errors(after) - errors(before)
        (again,) = scan_folder(safe.folder).series
        if all(place.corner == (0, 0) for layout in safe.layouts for place in layout.places):
            laid = lay_out(again)
            assert {layout.digest for layout in laid.layouts} == {layout.digest for layout in safe.layouts}
            assert {plane.digest for plane in laid.planes} == {plane.digest for plane in safe.planes}
    assert done


def _deidentified(
    series: Series, root: Path, pseudonyms: Pseudonyms, profile: Profile
) -> tuple[Series, DeidentifiedSeries]:
    laid_out = lay_out(series)
    safe = deidentify_series(
        laid_out.series,
        laid_out.layouts,
        intensity_facts(laid_out.series),
        planes=laid_out.planes,
        pseudonyms=pseudonyms,
        profile=profile,
        source=Source(name="real", site="R"),
        sha256s=source_sha256s(laid_out.series),
        root=root,
    )
    return laid_out.series, safe
