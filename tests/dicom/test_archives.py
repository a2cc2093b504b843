"""What is packed is read like what is not; what is broken, locked or a bomb costs itself alone, quickly."""

import gzip
import io
import os
import tarfile
import time
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medflow.dicom.archives.entries import FREE, RATIO
from medflow.dicom.content import archives_kept_open, read_content, sha256_of
from medflow.dicom.layout import lay_out
from medflow.dicom.scan import Scan, list_files, scan_folder
from medflow.errors import Reason, SeriesError
from tests.dicom.archived import (
    HEIGHTS,
    NAMES,
    as_zip_64,
    deflated,
    gzip_of_zeros,
    gzipped,
    local,
    overlapping_bomb,
    series,
    tar_member,
    tarred,
    zip_of_bytes,
    zipped,
)
from tests.dicom.drawn import one_slice, written

COUNT = len(HEIGHTS)


def scan_of(folder: Path, **files: bytes) -> Scan:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return scan_folder(folder)


def aside(scan: Scan) -> dict[str, Reason]:
    return {item.file.member or item.file.relative: item.reason for item in scan.set_aside}


@pytest.mark.parametrize(
    "pack",
    [
        zipped,
        lambda files: zipped(files, zipfile.ZIP_STORED),
        tarred,
        lambda files: tarred(files, style=tarfile.USTAR_FORMAT),
        lambda files: tarred({f"{'long/' * 40}{name}": content for name, content in files.items()}),
        lambda files: tarred(
            {f"{'long/' * 40}{name}": content for name, content in files.items()}, style=tarfile.GNU_FORMAT
        ),
        lambda files: tarred(files, "w:gz"),
        lambda files: zipped(gzipped(files)),
        lambda files: tarred(gzipped(files)),
        lambda files: zipped({"inner.zip": zipped(files)}),
        lambda files: zipped({"inner.tgz": tarred(files, "w:gz")}),
        lambda files: tarred({"a.zip": zipped({"b.tar": tarred(files)})}, "w:gz"),
        lambda files: gzip.compress(zipped(files)),
        lambda files: zipped({f"Mül-ler{name}": content for name, content in files.items()}),
        lambda files: as_zip_64(zipped(files)),
    ],
)
def test_a_series_in_an_archive_is_the_series_of_the_plain_folder(
    tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    for folder in (plain, packed):
        folder.mkdir()
    files = series()
    (one,) = scan_of(plain, **{Path(name).name: content for name, content in files.items()}).series

    scan = scan_of(packed, archive=pack(files))

    (other,) = scan.series
    assert (scan.seen, scan.members, aside(scan)) == (1, COUNT, {})
    assert [archive.reason for archive in scan.archives] == [None]
    assert lay_out(other).layouts == lay_out(one).layouts
    assert [sha256_of(file) for file in other.files()] == [sha256_of(file) for file in one.files()]
    with archives_kept_open():
        assert sorted(map(read_content, other.files())) == sorted(files.values())


def test_a_gzipped_file_is_the_file_that_it_holds(tmp_path: Path) -> None:
    files = series()
    packed = {name.replace("/", "-"): gzip.compress(content) for name, content in files.items()}

    scan = scan_of(tmp_path, **packed)

    assert (scan.seen, scan.members, scan.archives, scan.set_aside) == (COUNT, 0, (), ())
    assert sorted(map(read_content, scan.series[0].files())) == sorted(files.values())


def test_a_file_in_an_archive_and_beside_it_is_kept_once(tmp_path: Path) -> None:
    files = series()
    (first, content), *_ = files.items()

    scan = scan_of(tmp_path, a=content, b=gzip.compress(content), c=zipped(files))

    assert aside(scan) == {"b": Reason.RESENT, first: Reason.RESENT}
    assert (scan.seen, scan.members, len(scan.series[0].instances)) == (3, COUNT, COUNT)


def test_two_members_that_claim_one_uid_conflict_with_a_file_that_does_too(tmp_path: Path) -> None:
    other = written(one_slice(StudyDescription="other"))

    scan = scan_of(tmp_path, a=zipped({"m": written(one_slice())}), b=other)

    assert aside(scan) == {"m": Reason.CONFLICTING_OBJECT, "b": Reason.CONFLICTING_OBJECT}


def links(archive: tarfile.TarFile) -> None:
    for name, kind in (("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("disk", tarfile.BLKTYPE)):
        archive.addfile(tar_member(name, kind=kind))


def test_members_that_point_out_of_their_archive_are_unsafe_and_written_nowhere(tmp_path: Path) -> None:
    content = written(one_slice())
    names = ["../out", "/out", "C:\\out", "a/../../out", "..\\out", "a!/b"]
    folder = tmp_path / "export"
    folder.mkdir()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        links(archive)
        archive.addfile(tar_member("../out", len(content)), io.BytesIO(content))
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    linked = io.BytesIO()
    with zipfile.ZipFile(linked, "w") as bundle:
        bundle.writestr(link, "/etc/passwd")

    scan = scan_of(folder, tar=stream.getvalue(), zip=zipped(dict.fromkeys(names, content)), linked=linked.getvalue())

    assert set(aside(scan).values()) == {Reason.UNSAFE_ARCHIVE_MEMBER}
    assert (len(scan.set_aside), scan.series) == (4 + len(names) + 1, ())
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["export", "linked", "tar", "zip"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_members_with_one_name_the_second_is_set_aside(tmp_path: Path) -> None:
    scan = scan_of(tmp_path, z=zipped([("m", written(one_slice(1))), ("m", written(one_slice(2)))]))

    assert aside(scan) == {"m#2": Reason.UNSAFE_ARCHIVE_MEMBER}
    assert scan.series[0].instances[0].instance_number == 1


def flagged(content: bytes, flags: int, method: int) -> bytes:
    """Change flags and method of each member of a zip in its directory."""
    spoiled, at = bytearray(content), content.find(b"PK\1\2")
    while at >= 0:
        spoiled[at + 8 : at + 12] = flags.to_bytes(2, "little") + method.to_bytes(2, "little")
        at = content.find(b"PK\1\2", at + 1)
    return bytes(spoiled)


@pytest.mark.parametrize(
    ("flags", "method", "reason"),
    [
        (1, 8, Reason.ENCRYPTED_ARCHIVE),
        (0x41, 8, Reason.ENCRYPTED_ARCHIVE),
        (0, 99, Reason.ENCRYPTED_ARCHIVE),
        (0, 9, Reason.ARCHIVE_NOT_OPENED),
        (0, 12, Reason.ARCHIVE_NOT_OPENED),
    ],
)
def test_a_locked_or_unknown_member_is_quarantined(tmp_path: Path, flags: int, method: int, reason: Reason) -> None:
    scan = scan_of(tmp_path, z=flagged(zipped(series()), flags, method))

    assert Counter(aside(scan).values()) == {reason: COUNT}


def test_what_is_nested_too_deep_is_left_closed(tmp_path: Path) -> None:
    content = zipped(series())
    for _ in range(3):
        content = zipped({"in.zip": content})
    packed = written(one_slice())
    for _ in range(4):
        packed = gzip.compress(packed)

    scan = scan_of(tmp_path, z=content, g=packed)

    assert aside(scan) == {"in.zip!/in.zip!/in.zip": Reason.ARCHIVE_NOT_OPENED, "g": Reason.ARCHIVE_NOT_OPENED}


def test_a_damaged_member_costs_itself_alone(tmp_path: Path) -> None:
    files = series()
    spoiled = bytearray(zipped(files, zipfile.ZIP_STORED))
    spoiled[spoiled.find(files[NAMES[2]]) + 700] ^= 1

    scan = scan_of(tmp_path, z=bytes(spoiled))

    assert aside(scan) == {NAMES[2]: Reason.DAMAGED_ARCHIVE}
    assert (len(scan.series[0].instances), scan.archives[0].reason) == (COUNT - 1, None)


def test_a_tar_that_breaks_off_keeps_what_came_before(tmp_path: Path) -> None:
    whole = tarred(series())

    scan = scan_of(tmp_path, t=whole[: len(whole) // 3])

    assert [archive.reason for archive in scan.archives] == [Reason.DAMAGED_ARCHIVE]
    assert 0 < len(scan.series[0].instances) < COUNT
    assert set(aside(scan).values()) <= {Reason.DAMAGED_ARCHIVE}


def test_a_zip_without_its_directory_is_damaged(tmp_path: Path) -> None:
    scan = scan_of(tmp_path, z=zipped(series())[:-30])

    assert (scan.seen, scan.members) == (1, 0)
    assert scan.archives[0].reason is Reason.DAMAGED_ARCHIVE


def test_an_archive_that_changes_while_it_is_read_is_left_for_later(tmp_path: Path) -> None:
    scan = scan_of(tmp_path, z=zipped(series()))
    (one,) = scan.series
    first, second, *_ = one.files()
    with archives_kept_open():
        read_content(first)
        os.utime(first.path, ns=(1, 1))

        with pytest.raises(SeriesError) as refused:
            read_content(second)

    assert refused.value.reason is Reason.CHANGED_WHILE_READ


def lying(size: int) -> bytes:
    """Write a member that unfolds to 16 MiB and says that it is of `size`."""
    packed = deflated(bytes(1 << 24))
    return zip_of_bytes([(b"m", packed, size, 0)], local(b"m", packed, size))


MIB = 1 << 20
BOMBS: dict[str, Callable[[], bytes]] = {
    "overlapping members": overlapping_bomb,
    "members that share a header": lambda: zip_of_bytes([(b"m", b"", 0, 0)] * 5, local(b"m", b"", 0)),
    "gzip": lambda: gzip_of_zeros(2 * FREE),
    "gzip twice": lambda: gzip.compress(gzip_of_zeros(2 * FREE)),
    "a member": lambda: zipped({"m": bytes(FREE + 1)}),
    "many members": lambda: zipped({str(n): bytes(32 * MIB) for n in range(1 + FREE // (32 * MIB))}),
    "gzip in zip": lambda: zipped({"m.gz": gzip_of_zeros(2 * FREE)}),
    "zips in a zip": lambda: zipped({str(n): zipped({"m": bytes(128 * MIB)}) for n in range(8)}),
    "tar.gz": lambda: gzip.compress(tar_member("m", 2 * FREE).tobuf()) + gzip_of_zeros(2 * FREE),
    "tar of nothing but names": lambda: gzip.compress(tar_member("m", FREE * 4, b"x").tobuf()),
    "a size too small": lambda: lying(100),
    "a size too large": lambda: lying((1 << 24) + 1),
    "streams without end": lambda: gzip.compress(b"") * 100_001,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_neither_time_nor_memory(tmp_path: Path, name: str) -> None:
    (tmp_path / "bomb").write_bytes(BOMBS[name]())
    (tmp_path / "good").write_bytes(written(one_slice()))
    begun = time.process_time()
    tracemalloc.start()

    scan = scan_folder(tmp_path)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert time.process_time() - begun < 10
    assert peak < 3 * FREE
    assert len(scan.series) == 1
    ours = {Reason.ARCHIVE_TOO_LARGE, Reason.DAMAGED_ARCHIVE}
    found = {archive.reason for archive in scan.archives} | {item.reason for item in scan.set_aside}
    assert found & ours
    assert found <= {*ours, Reason.NOT_DICOM, None}


def test_an_archive_that_holds_itself_ends(tmp_path: Path) -> None:
    scan = scan_of(
        tmp_path, z=zipped({f"{n}": zipped({f"{m}": zipped({"a": b"a"}) for m in range(9)}) for n in range(9)})
    )

    assert (scan.members, set(aside(scan).values())) == (81, {Reason.NOT_DICOM})


def test_much_that_packs_well_is_read_all_the_same(tmp_path: Path) -> None:
    blank = one_slice(Rows=512, Columns=512, PixelData=bytes(512 * 512 * 2))
    content = zipped({"blank": written(blank)})

    scan = scan_of(tmp_path, z=content)

    assert 512 * 512 * 2 / len(content) > RATIO
    assert len(scan.series) == 1


def test_an_empty_archive_in_an_archive_is_counted(tmp_path: Path) -> None:
    scan = scan_of(tmp_path, z=zipped({"empty.zip": zipped({})}))

    assert (aside(scan), scan.members) == ({"empty.zip": Reason.ARCHIVE_WITHOUT_IMAGES}, 1)


PARTS: list[Callable[[bytes], bytes]] = [
    lambda content: content,
    gzip.compress,
    lambda content: zipped({"m": content}),
    lambda content: tarred({"m": content, "n": b"junk"}, "w:gz"),
    lambda content: zipped({"m.zip": zipped({"a": content, "b": b""})}),
]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_whatever_is_packed_cut_or_spoiled_every_file_and_member_is_counted(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("mixed")
    for number in range(data.draw(st.integers(1, 4))):
        content = data.draw(st.sampled_from([written(one_slice(number)), written(one_slice(1)), b"junk", b""]))
        packed = bytearray(data.draw(st.sampled_from(PARTS))(content))
        for at, value in data.draw(
            st.lists(st.tuples(st.integers(0, max(0, len(packed) - 1)), st.integers(0, 255)), max_size=3)
        ):
            packed[at : at + 1] = bytes([value])
        (folder / str(number)).write_bytes(packed[: data.draw(st.sampled_from([len(packed), len(packed) // 2]))])

    scan = scan_folder(folder)

    seen = [file.name for file in scan.files()]
    assert len(seen) == len(set(seen)) == scan.seen + scan.members
    assert scan.seen == len(list(list_files(folder)))
    told = [*((one.reason, one.detail) for one in scan.set_aside), *((one.reason, one.detail) for one in scan.archives)]
    assert [detail for reason, detail in told if reason is Reason.UNEXPECTED_ERROR] == []
    for one in scan.series:
        for file in one.files():
            read_content(file)
