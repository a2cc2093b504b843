"""Reading: every frame in its place, in its unit, with each file opened once."""

from pathlib import Path

import numpy as np
import pytest

from medflow.domain.series import Modality
from medflow.domain.volume import Unit
from medflow.errors import Reason, SeriesError
from medflow.imaging.read import read_volume, read_volumes
from tests.imaging.made import STRAIGHT, facts, layout, pet, place, series, write_stored

CHANCE = np.random.default_rng(7)
STORED = CHANCE.integers(-1000, 2000, (3, 4, 5)).astype(np.int16)


def test_voxels_lie_by_column_row_and_slice_in_the_order_of_the_layout(tmp_path: Path) -> None:
    for number in range(3):
        write_stored(tmp_path / f"{number}.dcm", STORED[number : number + 1])
    stack = layout(4, 5, [place(2), place(0), place(1)])

    read = read_volume(series(tmp_path, ["0.dcm", "1.dcm", "2.dcm"], [stack], facts()), stack)

    assert read.voxels.shape == (5, 4, 3)
    assert np.array_equal(read.voxels, STORED[[2, 0, 1]].transpose(2, 1, 0))
    assert np.array_equal(read.affine, STRAIGHT)
    assert read.unit is Unit.HU


def test_each_slice_has_its_own_slope_and_intercept(tmp_path: Path) -> None:
    write_stored(tmp_path / "a.dcm", STORED)
    rescales = [(1.0, -1024.0), (0.37, 1.5), (2.0, 0.0)]
    stack = layout(4, 5, [place(0, frame, slope=m, intercept=b) for frame, (m, b) in enumerate(rescales)])

    read = read_volume(series(tmp_path, ["a.dcm"], [stack], facts()), stack)

    for k, (slope, intercept) in enumerate(rescales):
        assert np.array_equal(read.voxels[:, :, k], (STORED[k] * slope + intercept).astype(np.float32).T)


def test_padding_of_a_ct_is_air_and_not_what_the_scanner_wrote(tmp_path: Path) -> None:
    stored = np.array([[[-2000, -1999, 0, 40]]], np.int16)
    write_stored(tmp_path / "a.dcm", stored)
    stack = layout(1, 4, [place(0, intercept=-24.0)])

    read = read_volume(series(tmp_path, ["a.dcm"], [stack], facts(padding=(-2000, -2000))), stack)

    assert read.voxels[:, 0, 0].tolist() == [-1024.0, -2023.0, -24.0, 16.0]


@pytest.mark.parametrize("modality", [Modality.MR, Modality.PT])
def test_padding_of_an_mr_or_a_pet_stays_what_was_stored(tmp_path: Path, modality: Modality) -> None:
    stored = np.array([[[-2000, -1999, 0, 40]]], np.int16)
    write_stored(tmp_path / "a.dcm", stored)
    stack = layout(1, 4, [place(0, slope=2.0, intercept=5.0)])

    read = read_volume(series(tmp_path, ["a.dcm"], [stack], facts(padding=(-2000, -2000), pet=pet()), modality), stack)

    assert read.voxels[:, 0, 0].tolist() == [-3995.0, -3993.0, 5.0, 85.0]


def test_volumes_that_share_a_file_are_read_together(tmp_path: Path) -> None:
    write_stored(tmp_path / "a.dcm", STORED)
    first, second = layout(4, 5, [place(0, 0), place(0, 2)]), layout(4, 5, [place(0, 1)])

    read = read_volumes(series(tmp_path, ["a.dcm"], [first, second], facts()))

    assert [volume.voxels.shape for volume in read] == [(5, 4, 2), (5, 4, 1)]
    assert np.array_equal(read[1].voxels[:, :, 0], STORED[1].T)
    assert read[1].layout_digest == second.digest


def test_pet_is_read_as_activity_or_as_suv(tmp_path: Path) -> None:
    write_stored(tmp_path / "a.dcm", np.abs(STORED[:1]))
    stack = layout(4, 5, [place(0, slope=3.5)])
    safe = series(tmp_path, ["a.dcm"], [stack], facts(rescale_type=None, pet=pet()), Modality.PT)

    activity, suv = read_volume(safe, stack), read_volume(safe, stack, unit=Unit.SUVBW)

    assert activity.unit is Unit.BQML
    assert suv.unit is Unit.SUVBW
    dose = 3.0e8 * 2.0 ** (-3600.0 / 6586.2)
    assert np.allclose(suv.voxels, activity.voxels.astype(np.float64) * 70_000 / dose, rtol=1e-6)


@pytest.mark.parametrize(
    ("frame", "rows", "slope", "reason"),
    [
        (5, 4, 1.0, Reason.DAMAGED_PIXELS),
        (0, 9, 1.0, Reason.DAMAGED_PIXELS),
        (0, 4, 1e300, Reason.NON_FINITE_VOXELS),
        (0, 4, float("nan"), Reason.NON_FINITE_VOXELS),
    ],
)
def test_a_layout_that_the_file_does_not_bear_out_is_refused(
    tmp_path: Path, frame: int, rows: int, slope: float, reason: Reason
) -> None:
    write_stored(tmp_path / "a.dcm", STORED)
    stack = layout(rows, 5, [place(0, frame, slope=slope)])

    with pytest.raises(SeriesError) as refused:
        read_volume(series(tmp_path, ["a.dcm"], [stack], facts()), stack)

    assert refused.value.reason is reason


def test_a_file_that_is_gone_is_refused_without_its_path(tmp_path: Path) -> None:
    stack = layout(4, 5, [place(0)])

    with pytest.raises(SeriesError) as refused:
        read_volume(series(tmp_path, ["a.dcm"], [stack], facts()), stack)

    assert refused.value.reason is Reason.STORED_COPY_DIFFERS
    assert "a.dcm" not in str(refused.value)
