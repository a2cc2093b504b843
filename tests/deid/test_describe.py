"""What stays known of a series for choosing among those of a study: its kernel, and whether contrast was given."""

from pathlib import Path
from typing import Any

import pytest

from tests.deid.conftest import Deidentify
from tests.dicom.drawn import attributes, one_slice, save


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("B30f", "B30f"),
        (["Br40d", "3"], "Br40d"),
        ("STANDARD", "STANDARD"),
        ("BONE+", "BONE+"),
        ("FC18-H", "FC18-H"),
        ("YA", "YA"),
        ("B_SOFT_B", "B_SOFT_B"),
        ("MEYER", None),
        ("", None),
        (None, None),
    ],
)
def test_a_kernel_stays_where_it_is_one(deidentify: Deidentify, tmp_path: Path, written: Any, kept: str | None) -> None:  # noqa: ANN401
    (series,) = deidentify(save(tmp_path / "export", one_slice(ConvolutionKernel=written)))

    assert series.descriptors.kernel == kept


@pytest.mark.parametrize(
    ("said", "given"),
    [
        ({}, False),
        ({"ContrastBolusAgent": ""}, False),
        ({"ContrastBolusAgent": "NONE"}, False),
        ({"ContrastBolusAgent": "No", "ContrastBolusVolume": "0.0"}, False),
        ({"ContrastBolusAgent": "OMNIPAQUE 350"}, True),
        ({"ContrastBolusAgent": "a name that nobody allows"}, True),
        ({"ContrastBolusVolume": "80"}, True),
        ({"ContrastBolusRoute": "IV"}, True),
        ({"ContrastBolusAgentSequence": [attributes(ContrastBolusVolume="80")]}, True),
    ],
    ids=str,
)
def test_contrast_is_known_whatever_the_agent_was_called(
    deidentify: Deidentify,
    tmp_path: Path,
    said: dict[str, Any],
    given: bool,  # noqa: FBT001
) -> None:
    (series,) = deidentify(save(tmp_path / "export", one_slice(**said)))

    assert series.descriptors.contrast is given
    assert "allows" not in series.written()
