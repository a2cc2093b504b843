"""Facts about what is written beside the safe files: it reads back as it was."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from medflow.domain.layout import IntensityFacts, Layout, PetFacts, Place
from medflow.domain.safe import (
    DeidentifiedSeries,
    Descriptors,
    Pseudonym,
    SeriesUID,
    StoredFile,
    StudyUID,
    read_record,
    series_digest,
)
from medflow.domain.series import Modality

numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)
maybe = st.none() | numbers

places = st.builds(
    Place,
    file=st.integers(0, 99),
    frame=st.integers(0, 9),
    corner=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    slope=numbers,
    intercept=numbers,
)
layouts = st.builds(
    Layout,
    rows=st.integers(1, 512),
    columns=st.integers(1, 512),
    affine=st.tuples(*[st.tuples(*[numbers] * 4)] * 4),
    places=st.lists(places, min_size=1, max_size=4).map(tuple),
    labels=st.lists(st.tuples(st.sampled_from(["EchoTime", "TriggerTime"]), numbers), max_size=2).map(tuple),
    run=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    residual=numbers,
    sheared=st.booleans(),
)
pets = st.builds(
    PetFacts,
    units=st.none() | st.just("BQML"),
    suv_type=st.none(),
    decay_correction=st.none() | st.just("START"),
    corrected=st.just(("ATTN", "DECY")),
    weight=maybe,
    dose=maybe,
    half_life=maybe,
    decay_seconds=maybe,
    philips_suv_factor=maybe,
    philips_activity_factor=maybe,
)
facts = st.builds(
    IntensityFacts,
    photometric=st.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
    rescale_type=st.none() | st.just("HU"),
    rescaled=st.booleans(),
    padding=st.none() | st.tuples(st.integers(), st.integers()),
    pet=st.none() | pets,
)


def _series(layout: Layout, intensity: IntensityFacts, thickness: float | None) -> DeidentifiedSeries:
    return DeidentifiedSeries(
        patient=Pseudonym("PABC"),
        barred=False,
        study=StudyUID("2.25.1"),
        uid=SeriesUID("2.25.2"),
        modality=Modality.CT,
        layouts=(layout,),
        facts=intensity,
        descriptors=Descriptors(
            sex="F",
            age=64,
            body_part="CHEST",
            head=False,
            description="CHEST",
            image_type=("ORIGINAL", "PRIMARY"),
            site="north",
            scanner="maker model X",
            slice_thickness=thickness,
            contrast=False,
        ),
        files=(StoredFile(name="IM000001.dcm", sha256="0" * 64),),
        series_digest="1" * 64,
        source_digest="2" * 64,
        profile_digest="3" * 64,
        folder=Path("somewhere"),
    )


@given(layout=layouts, intensity=facts, thickness=maybe)
def test_a_series_reads_back_as_it_was_written(
    layout: Layout, intensity: IntensityFacts, thickness: float | None
) -> None:
    series = _series(layout, intensity, thickness)

    assert read_record(series.written(), series.folder) == series


@given(layout=layouts, intensity=facts)
def test_the_order_of_the_files_leaves_no_trace_in_a_digest(layout: Layout, intensity: IntensityFacts) -> None:
    moved = Layout.from_record(
        {**layout.record(), "places": [{**place, "file": place["file"] + 7} for place in layout.record()["places"]]}
    )
    hashes = (tuple("f" * 64 for _ in layout.places),)

    assert moved.digest == layout.digest
    assert series_digest((moved,), hashes, intensity) == series_digest((layout,), hashes, intensity)


def test_the_id_of_a_series_is_a_function_of_its_source_and_its_profile() -> None:
    layout = Layout(
        rows=1,
        columns=1,
        affine=((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
        places=(Place(file=0, frame=0, corner=(0, 0), slope=1.0, intercept=0.0),),
        labels=(),
        run=(1, 1),
        residual=0.0,
        sheared=False,
    )
    intensity = IntensityFacts(photometric="MONOCHROME2", rescale_type=None, rescaled=True, padding=None)
    one, other = _series(layout, intensity, None), _series(layout, intensity, 5.0)

    assert one.id == other.id
    assert one.id.startswith("ser_")
