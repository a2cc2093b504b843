"""From CT files to a network's input, stage by stage, against the peers of each stage; and the memory it takes.

    python ops/bench/input_path.py [--slices 300] [--side 512] [--threads 2]

Every ratio is of medians of five rounds in one run, the files in the system's cache. Peers (`requirements.txt`):
dcm2niix for reading, SimpleITK's ResampleImageFilter for resampling, MONAI's transforms for the whole way.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import monai.transforms as mt
import numpy as np
import SimpleITK as sitk
import torch
from exports import write_ct
from monai.data.meta_tensor import MetaTensor
from timing import held_from_here, medians, most_held, peak, table

from medflow.deid.keys import new_key
from medflow.deid.profile import default_profile
from medflow.deid.pseudonyms import Pseudonyms
from medflow.deid.series import Source, deidentify_series, source_sha256s
from medflow.dicom.facts import intensity_facts
from medflow.dicom.layout import lay_out
from medflow.dicom.scan import scan_folder
from medflow.domain.safe import DeidentifiedSeries, read_record
from medflow.domain.volume import Grid, Intensity, Unit, Volume
from medflow.imaging.grid import on_grid
from medflow.imaging.placement import index_map, laid_on, middle_of
from medflow.imaging.read import read_volume
from medflow.imaging.resample import Sampling, resample

NETWORK = 96
WINDOW = (-1000.0, 400.0)


def safe_copy(export: Path, root: Path) -> DeidentifiedSeries:
    """De-identify the series of `export` below `root`."""
    laid = lay_out(scan_folder(export).series[0])
    return deidentify_series(
        laid.series,
        laid.layouts,
        intensity_facts(laid.series),
        pseudonyms=Pseudonyms(key=new_key(), default_issuer=""),
        profile=default_profile(),
        source=Source(name="bench", site="bench"),
        sha256s=source_sha256s(laid.series),
        root=root,
    )


def from_files(safe: DeidentifiedSeries) -> Volume[Unit]:
    """Read headers, work out the layout and read the voxels: all that a converter of files does."""
    lay_out(scan_folder(safe.folder).series[0])
    return read_volume(safe, safe.layouts[0])


def isotropic(volume: Volume[Unit], spacing: float = 1.5) -> Grid:
    """Make a grid of `spacing` (mm) that covers the volume."""
    reach = np.linalg.norm(volume.affine[:3, :3], axis=0) * volume.voxels.shape
    first, second, third = (round(length / spacing) for length in reach)
    return _grid((spacing,) * 3, (first, second, third), antialias=False)


def network(volume: Volume[Unit]) -> Grid:
    """Make the grid that shows a network the whole volume."""
    first, second, third = np.linalg.norm(volume.affine[:3, :3], axis=0) * volume.voxels.shape / NETWORK
    return _grid((float(first), float(second), float(third)), (NETWORK,) * 3, antialias=True)


def _grid(spacing: tuple[float, float, float], shape: tuple[int, int, int], *, antialias: bool) -> Grid:
    return Grid(
        axes="RAS",
        spacing=spacing,
        shape=shape,
        crop="center",
        intensity=Intensity.WINDOW,
        window=WINDOW,
        padding=-1024.0,
        interpolation="linear",
        antialias=antialias,
    )


def monai_chain() -> mt.Compose:
    """Build the peer of the whole way."""
    return mt.Compose(
        [
            mt.LoadImage(image_only=True, ensure_channel_first=True),
            mt.Orientation("RAS", labels=None),
            mt.Spacing((1.5,) * 3, mode="bilinear"),
            mt.ScaleIntensityRange(*WINDOW, 0.0, 1.0, clip=True),
            mt.Resize((NETWORK,) * 3),
        ]
    )


def filtered(image: sitk.Image, mapping: np.ndarray, shape: tuple[int, ...]) -> sitk.Image:
    """Run SimpleITK's filter over the same map of indices."""
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(mapping[:3, :3].ravel().tolist())
    transform.SetTranslation(mapping[:3, 3].tolist())
    sampler = sitk.ResampleImageFilter()
    sampler.SetSize(shape)
    sampler.SetTransform(transform)
    sampler.SetInterpolator(sitk.sitkLinear)
    sampler.SetDefaultPixelValue(-1024.0)
    return sampler.Execute(image)


def accuracy(sampled: np.ndarray, voxels: np.ndarray, mapping: np.ndarray) -> float:
    """Give the largest interior difference from MONAI's SpatialResample in float64, as a share of the range."""
    reference = mt.SpatialResample(mode="bilinear", padding_mode="border", dtype=np.float64, align_corners=True)
    source = torch.from_numpy(np.ascontiguousarray(voxels[None], np.float64))
    moved = reference(
        MetaTensor(source, affine=torch.eye(4, dtype=torch.float64)),
        dst_affine=torch.from_numpy(mapping),
        spatial_size=sampled.shape,
    )
    inner = (slice(2, -2),) * 3
    difference = np.abs(np.asarray(moved[0], np.float64)[inner] - sampled[inner])
    return float(difference.max() / (voxels.max() - voxels.min()))


def reading(export: Path, safe: DeidentifiedSeries, out: Path) -> None:
    """Files to a float32 volume in HU."""
    converter = shutil.which("dcm2niix", path=str(Path(sys.executable).parent)) or shutil.which("dcm2niix")
    cases = {
        "cat the files": lambda: [path.read_bytes() for path in sorted(export.iterdir())],
        "medflow, layout known (as scoring reads)": lambda: read_volume(safe, safe.layouts[0]),
        "medflow, headers and layout too": lambda: from_files(safe),
    }
    if converter:
        command = [converter, "-z", "n", "-b", "n", "-w", "1", "-f", "bench", "-o", str(out), str(export)]
        cases["dcm2niix -z n"] = lambda: subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    table("files -> volume in HU", medians(cases), list(cases)[-1])


def resampling(volume: Volume[Unit]) -> None:
    """Volume to a grid of 1.5 mm."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.voxels.transpose(2, 1, 0)))
    turned = volume.affine.copy()
    cosine, sine = np.cos(0.15), np.sin(0.15)
    turned[:3, :3] = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) @ turned[:3, :3]
    tilted = volume.affine.copy()
    tilted[1, 2] = 0.33
    tensor, grid = torch.from_numpy(volume.voxels), isotropic(volume)
    sampling = Sampling(padding=-1024.0)
    for name, affine in (("axes parallel", volume.affine), ("gantry tilt", tilted), ("oblique", turned)):
        target = laid_on(affine, volume.voxels.shape, grid, middle_of(volume.voxels, "center"))
        mapping = index_map(affine, target, volume.voxels.shape[2])
        cases = {
            "medflow": lambda mapping=mapping: resample(tensor, mapping, grid.shape, sampling),
            "SimpleITK ResampleImageFilter": lambda mapping=mapping: filtered(image, mapping, grid.shape),
        }
        table(f"volume -> {grid.shape} at 1.5 mm, {name}", medians(cases), "SimpleITK ResampleImageFilter")
        if name == "axes parallel":
            sampled = resample(tensor, mapping, grid.shape, sampling)
            if sampled is not None:
                share = accuracy(sampled.numpy(), volume.voxels, mapping)
                print(f"  largest interior difference from float64: {share:.1e} of the range")


def whole(export: Path, safe: DeidentifiedSeries) -> None:
    """Files to the tensor that a network eats."""
    grid = network(read_volume(safe, safe.layouts[0]))
    chain = monai_chain()
    cases = {
        "medflow: headers, layout, voxels, one interpolation": lambda: on_grid(from_files(safe), grid),
        "MONAI: LoadImage, Orientation, Spacing, Scale, Resize": lambda: chain(export),
    }
    table(f"files -> {NETWORK}^3 tensor", medians(cases), next(iter(cases)))


def memory(safe: DeidentifiedSeries, volume: Volume[Unit]) -> None:
    """Most memory that a process of its own holds while it takes the whole way, beside what it held before."""
    taken = peak([str(Path(__file__)), "--child", str(safe.folder)])
    decoded = volume.voxels.nbytes
    print(f"\nmemory\n  {decoded / 1e6:.0f} MB decoded; {taken / 1e6:.0f} MB taken: {taken / decoded:.2f} x")


def child(folder: Path) -> None:
    """Do what a scoring process does with one series, and print the bytes that it took."""
    safe = read_record((folder / "series.json").read_text("ascii"), folder)
    before = held_from_here()
    volume = from_files(safe)
    on_grid(volume, network(volume))
    print(most_held() - before)


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(options.threads)
    if options.child:
        child(options.child)
        return
    with tempfile.TemporaryDirectory(prefix="medflow-bench-") as name:
        scratch = Path(name)
        export = write_ct(scratch / "export", slices=options.slices, side=options.side)
        safe = safe_copy(export, scratch / "safe")
        (scratch / "out").mkdir()
        volume = read_volume(safe, safe.layouts[0])
        print(f"CT of {options.slices} x {options.side} x {options.side} int16; {options.threads} threads")
        reading(export, safe, scratch / "out")
        resampling(volume)
        whole(export, safe)
        memory(safe, volume)


if __name__ == "__main__":
    main()
