"""What the tests of this folder share: a key, the profile, and the way of a folder through de-identification."""

from collections.abc import Callable
from pathlib import Path

import pytest

from medflow.deid.profile import Profile, default_profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.series import Source, deidentify_series, source_sha256s
from medflow.dicom.facts import intensity_facts
from medflow.dicom.layout import lay_out
from medflow.dicom.scan import scan_folder
from medflow.domain.safe import DeidentifiedSeries

HOUSE = Pseudonyms(key=bytes(range(32)))
TABLES = default_profile()
Deidentify = Callable[..., tuple[DeidentifiedSeries, ...]]


@pytest.fixture(scope="session")
def pseudonyms() -> Pseudonyms:
    return HOUSE


@pytest.fixture(scope="session")
def profile() -> Profile:
    return TABLES


@pytest.fixture
def deidentify(tmp_path: Path, pseudonyms: Pseudonyms, profile: Profile) -> Deidentify:
    def run(
        folder: Path,
        *,
        key: Pseudonyms = pseudonyms,
        root: Path = tmp_path / "safe",
        under: Profile = profile,
    ) -> tuple[DeidentifiedSeries, ...]:
        done = []
        for series in scan_folder(folder).series:
            laid_out = lay_out(series)
            done.append(
                deidentify_series(
                    laid_out.series,
                    laid_out.layouts,
                    intensity_facts(laid_out.series),
                    planes=laid_out.planes,
                    pseudonyms=key,
                    profile=under,
                    source=Source(name="export", site="A"),
                    sha256s=source_sha256s(laid_out.series),
                    root=root,
                )
            )
        return tuple(done)

    return run
