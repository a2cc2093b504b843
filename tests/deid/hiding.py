"""Where a data set can hide somebody: each function plants secrets in the places of one kind."""

import struct
from collections.abc import Callable

from tests.deid.hostile import UNDEFINED, Pieces, Secrets, Spelling

HAN = "王李张刘陈杨黄赵"
Plant = Callable[[Secrets, Spelling, Pieces], None]


def _item(secrets: Secrets, spelling: Spelling, place: str) -> bytes:
    """Write an item: names, codes, dates, references, a group length, private data, its own character set."""
    write = spelling.element
    return b"".join(
        (
            write(0x00080000, "UL", secrets.packed(f"{place}: group length of an item", "<I")),
            write(0x00080005, "CS", b"GB18030"),
            write(0x00080012, "DA", secrets.date(f"{place}: date of an item")),
            write(0x00080100, "SH", secrets.word(f"{place}: code")),
            write(0x00080102, "SH", b"99" + secrets.word(f"{place}: coding scheme")),
            write(0x00080104, "LO", secrets.text(f"{place}: meaning", "gb18030", HAN)),
            write(0x00081155, "UI", b"1.2.826.0.1." + secrets.number(f"{place}: UID", 12)),
            write(0x00090010, "LO", secrets.word(f"{place}: creator in an item")),
            write(0x00091001, "UN", secrets.word(f"{place}: private in an item")),
            write(0x00100010, "PN", secrets.word(f"{place}: name in an item")),
            write(0x00321060, "LO", b"CT " + secrets.word(f"{place}: description in an item") + b" axial"),
        )
    )


def person(secrets: Secrets, spelling: Spelling) -> Pieces:
    """Write the patient of a series: a number and a name in three scripts."""
    write = spelling.element
    name = secrets.word("alphabetic") + b"^X=" + secrets.text("ideographic", "gb18030", HAN)
    return {
        0x00080005: write(0x00080005, "CS", b"GB18030"),
        0x00100020: write(0x00100020, "LO", secrets.number("patient's ID")),
        0x00100010: write(0x00100010, "PN", name + b"=" + secrets.word("phonetic")),
    }


def sequences(secrets: Secrets, spelling: Spelling, into: Pieces) -> None:
    """Plant in sequences of every make: undefined lengths, no items, empty items, UN, the wrong VR, deep ones."""
    for defined in (False, True):
        inner = _item(secrets, spelling, f"deep {defined}")
        for depth in range(6):
            inner = _item(secrets, spelling, f"depth {depth} {defined}") + spelling.sequence(
                0x00400275, inner, defined=defined
            )
        into[0x00400275 if defined else 0x00081032] = spelling.sequence(
            0x00400275 if defined else 0x00081032, inner, b"", _item(secrets, spelling, "last"), defined=defined
        )
    implicit = Spelling(explicit=False)
    inner = implicit.sequence(0x00082218, _item(secrets, implicit, "in UN"), defined=False)
    if spelling.little:
        as_un = spelling.element(0x00082218, "UN", inner[8:], length=UNDEFINED)
        into[0x00082218] = as_un if spelling.explicit else inner
    into[0x00081140] = spelling.element(
        0x00081140, "UN", implicit.sequence(0x00081140, _item(secrets, implicit, "UN"))[8:]
    )
    into[0x00081110] = spelling.element(0x00081110, "SQ", b"")
    into[0x00081111] = spelling.sequence(0x00081111, b"", b"", defined=False)
    into[0x00081115] = spelling.element(0x00081115, "OB", secrets.word("a sequence under OB"))
    into[0x00540016] = spelling.sequence(0x00540016, _item(secrets, spelling, "radiopharmaceutical"))
    into[0x00400555] = spelling.sequence(0x00400555, _item(secrets, spelling, "acquisition context"))


def privates(secrets: Secrets, spelling: Spelling, into: Pieces) -> None:
    """Plant in private groups: any block, any creator, none, safe ones whose values are not what they should be."""
    write = spelling.element
    for group in (0x0009, 0x0019, 0x0021, 0x0029, 0x0043, 0x2001, 0x7053):
        for block in (0x10, 0x11, 0x7F, 0xE0, 0xFF):
            tag = group << 16 | block
            into[tag] = write(tag, "LO", secrets.word("private creator"))
            into[group << 16 | block << 8 | 1] = write(group << 16 | block << 8 | 1, "LO", secrets.word("private LO"))
            into[group << 16 | block << 8 | 2] = write(group << 16 | block << 8 | 2, "UN", secrets.word("private UN"))
            into[group << 16 | block << 8 | 3] = write(group << 16 | block << 8 | 3, "DS", secrets.number("private DS"))
            into[group << 16 | block << 8 | 4] = spelling.sequence(
                group << 16 | block << 8 | 4, _item(secrets, spelling, "private sequence"), defined=False
            )
    for tag in (0x000B1001, 0x00110001, 0x00130080, 0x0015FFFF, 0x00311000, 0x77770001):
        into[tag] = write(tag, "LO", secrets.word("private without a creator"))
    safe = (
        (0x70531001, "Philips PET Private Group", 0x7053, ((0x00, "DS"), (0x09, "DS"))),
        (0, "SIEMENS MR HEADER", 0x0019, ((0x0C, "IS"), (0x0D, "CS"), (0x0E, "FD"), (0x27, "FD"))),
        (0, "GEMS_PARM_01", 0x0043, ((0x27, "SH"), (0x39, "IS"), (0x6F, "DS"))),
        (0, "Philips Imaging DD 001", 0x2001, ((0x03, "FL"), (0x10, "CS"), (0x1E, "CS"))),
        (0, "ELSCINT1", 0x01F1, ((0x01, "CS"), (0x07, "DS"), (0x26, "DS"), (0x27, "DS"))),
    )
    for block, (_, creator, group, elements) in enumerate(safe, start=0x40):
        into[group << 16 | block] = write(group << 16 | block, "LO", creator.encode("ascii"))
        for kind, secret in enumerate((secrets.word, secrets.number)):
            holder = group << 16 | (block + 0x20 * (kind + 1))
            into[holder] = write(holder, "LO", creator.encode("ascii"))
            for low, vr in elements:
                tag = group << 16 | (block + 0x20 * (kind + 1)) << 8 | low
                value = secret(f"safe private {creator} {low:02x} {vr}")
                into[tag] = write(tag, vr if kind else "UN", value)
        low, vr = elements[-1]
        tag = group << 16 | block << 8 | low
        into[tag] = write(tag, vr, secrets.date(f"safe private {creator} {low:02x} date"))


def numbers(secrets: Secrets, spelling: Spelling, into: Pieces) -> None:
    """Plant the patient's number, and names, in attributes that hold numbers and stay."""
    write, order = spelling.element, "<" if spelling.little else ">"
    for tag, vr in ((0x00180060, "DS"), (0x00181151, "IS"), (0x00181150, "IS"), (0x00181152, "IS"), (0x00181100, "DS")):
        into[tag] = write(tag, vr, secrets.number(f"{tag:08x} as {vr}"))
    for tag in (0x00181120, 0x00180090, 0x00180091, 0x00181250):
        into[tag] = write(tag, "DS", secrets.word(f"{tag:08x} text as DS"))
    for tag in (0x00181130, 0x00181140):
        into[tag] = write(tag, "DS", b"1\\" + secrets.word(f"{tag:08x} second value") + b"\\2")
    for tag, vr, form in (
        (0x00189306, "FD", "d"), (0x00189307, "FD", "d"), (0x00189311, "FD", "d"), (0x00186020, "SL", "i"),
        (0x00186022, "SL", "i"), (0x00189447, "FL", "f"), (0x00189345, "FD", "d"),
    ):  # fmt: skip
        into[tag] = write(tag, vr, secrets.packed(f"{tag:08x} as {vr}", f"{order}{form}"))
    into[0x00280009] = write(0x00280009, "AT", secrets.word("AT", 12))
    into[0x00189305] = write(0x00189305, "FD", secrets.word("text as FD", 16))
    into[0x00280106] = write(0x00280106, "US", secrets.word("text as US", 12))
    into[0x00280120] = write(0x00280120, "US", secrets.word("padding value", 8))
    for tag, vr in ((0x00189309, "FD"), (0x00189310, "FD"), (0x00180040, "US"), (0x00280107, "US")):
        wide = (
            secrets.word(f"{tag:08x} UTF-16", 8).decode("ascii").encode("utf-16-le" if spelling.little else "utf-16-be")
        )
        into[tag] = write(tag, vr, wide)
    into[0x00200013] = write(0x00200013, "IS", b"1") if 0x00200013 not in into else into[0x00200013]
    into[0x00201002] = write(0x00201002, "IS", secrets.number("images in acquisition"))
    into[0x00281050] = write(
        0x00281050, "DS", secrets.number("window centre") + b"\\" + secrets.number("second window")
    )
    into[0x00281055] = write(0x00281055, "LO", secrets.word("window explanation"))


def texts(secrets: Secrets, spelling: Spelling, into: Pieces) -> None:
    """Plant in texts: names between allowed words, in scripts, in several values, beside control characters."""
    write = spelling.element
    into[0x00080005] = write(0x00080005, "CS", secrets.chance.choice((b"GB18030", b"ISO_IR 192", b"\\ISO 2022 IR 87")))
    into[0x0008103E] = write(0x0008103E, "LO", b"CT " + secrets.word("between allowed words") + b" axial 5mm")
    into[0x00081030] = write(0x00081030, "LO", b"Thorax\\" + secrets.word("second value") + b"\\axial")
    into[0x00181030] = write(0x00181030, "LO", "头".encode("gb18030") + secrets.text("GB18030", "gb18030", HAN))
    into[0x00321060] = write(0x00321060, "LO", secrets.text("UTF-8", "utf-8", "ЖДШЩЮЯФЦ"))
    into[0x00204000] = write(
        0x00204000, "LT", b"axial\r\n\x1b$B" + secrets.word("behind an escape") + b"\x1b(B contrast"
    )
    into[0x00400254] = write(0x00400254, "LO", secrets.word("UTF-16").decode("ascii").encode("utf-16-le"))
    into[0x00181210] = write(0x00181210, "SH", b"B30f^" + secrets.word("kernel"))
    into[0x00180015] = write(0x00180015, "CS", b"CHEST_" + secrets.word("body part"))
    into[0x00185100] = write(0x00185100, "CS", secrets.word("patient position"))
    into[0x00180022] = write(0x00180022, "CS", b"HELIX\\" + secrets.word("scan option"))
    into[0x00101010] = write(0x00101010, "AS", b"0" + secrets.word("age", 9))
    into[0x00100040] = write(0x00100040, "CS", secrets.word("sex"))
    into[0x00081090] = write(0x00081090, "LO", b"SOMATOM " + secrets.word("model"))
    into[0x00080070] = write(0x00080070, "LO", b"SIEMENS " + secrets.word("manufacturer"))
    into[0x00181020] = write(0x00181020, "LO", b"VA48A " + secrets.word("software"))
    into[0x00180010] = write(0x00180010, "LO", b"Iomeprol " + secrets.word("contrast agent"))
    into[0x0008010C] = write(0x0008010C, "UI", b"1.2.276.0." + secrets.number("institution's root", 11))
    into[0x00081195] = write(0x00081195, "UI", b"1.2.276.0.7230010.20" + secrets.number("transaction", 9))
    into[0x00080120] = write(0x00080120, "UR", b"https://" + secrets.word("URL") + b".example/patient")
    into[0x00081190] = write(0x00081190, "UR", b"https://" + secrets.word("retrieve URL") + b".example/patient")
    into[0x00080119] = write(0x00080119, "UC", secrets.word("long code"))


def moments(secrets: Secrets, spelling: Spelling, into: Pieces) -> None:
    """Plant original days, and names, where days and times stand or do not."""
    write = spelling.element
    for tag in (0x00080020, 0x00080021, 0x00080022, 0x00080023, 0x00080012, 0x00181200, 0x00080024, 0x00100030):
        into[tag] = write(tag, "DA", secrets.date(f"{tag:08x}"))
    into[0x0008002A] = write(0x0008002A, "DT", secrets.date("DT") + b"101112.123456+0100")
    into[0x00189074] = write(0x00189074, "DT", secrets.date("DT without a time"))
    into[0x00080031] = write(0x00080031, "TM", secrets.word("TM"))
    into[0x00080032] = write(0x00080032, "TM", b"101112\\" + secrets.word("second TM"))
    into[0x00400244] = write(0x00400244, "DA", secrets.date("start of a step"))
    into[0x00400253] = write(0x00400253, "SH", secrets.date("step's ID"))
    into[0x00200010] = write(0x00200010, "SH", secrets.date("study's ID"))
    into[0x00200012] = write(0x00200012, "IS", secrets.date("a day as acquisition number"))
    into[0x00200011] = write(0x00200011, "IS", secrets.date("a day as series number"))
    into[0x00180050] = write(0x00180050, "DS", b"1.5")
    into[0x00181110] = write(0x00181110, "DS", secrets.date("a day as DS"))
    into[0x00081084] = write(0x00081084, "LO", secrets.date("a day as text"))
    into[0x00189073] = write(0x00189073, "FD", struct.pack("<d" if spelling.little else ">d", 1.5))


def blobs(secrets: Secrets, spelling: Spelling, into: Pieces) -> None:
    """Plant in bytes: tables, profiles, icons, overlays, curves, waveforms, documents, signatures, padding."""
    write = spelling.element
    icon = b"".join(
        (
            write(0x00280002, "US", b"\1\0"),
            write(0x00280010, "US", b"\4\0"),
            write(0x00280011, "US", b"\4\0"),
            write(0x7FE00010, "OB", secrets.word("icon's pixels", 16)),
        )
    )
    into[0x00880200] = spelling.sequence(0x00880200, icon, defined=False)
    table = write(0x00283002, "US", struct.pack("<HHH", 8, 0, 16)) + write(
        0x00283003, "LO", secrets.word("LUT explanation")
    )
    into[0x00283010] = spelling.sequence(0x00283010, table + write(0x00283006, "OW", secrets.word("LUT data", 16)))
    into[0x00283000] = spelling.sequence(0x00283000, table + write(0x00283006, "OW", secrets.word("modality LUT", 16)))
    into[0x00282000] = write(0x00282000, "OB", secrets.word("ICC profile"))
    into[0x00281201] = write(0x00281201, "OW", secrets.word("red palette", 16))
    into[0x00281221] = write(0x00281221, "OW", secrets.word("segmented palette", 16))
    into[0x54000100] = spelling.sequence(0x54000100, write(0x54001010, "OW", secrets.word("waveform")))
    into[0x50003000] = write(0x50003000, "OW", secrets.word("curve"))
    into[0x50002600] = write(0x50002600, "LO", secrets.word("curve label"))
    into[0x501E0040] = write(0x501E0040, "LO", secrets.word("another curve"))
    into[0x60003000] = write(0x60003000, "OW", secrets.word("overlay"))
    into[0x60004000] = write(0x60004000, "LT", secrets.word("overlay comment"))
    into[0x60FE1500] = write(0x60FE1500, "LO", secrets.word("overlay label"))
    into[0x20200010] = write(0x20200010, "US", b"\1\0")
    into[0x00420011] = write(0x00420011, "OB", b"%PDF-1.4 " + secrets.word("document"))
    into[0x00420010] = write(0x00420010, "ST", secrets.word("document's title"))
    into[0x50002000] = write(0x50002000, "US", secrets.word("audio type", 12))
    into[0x5000200C] = write(0x5000200C, "OW", secrets.word("audio"))
    into[0xFFFAFFFA] = spelling.sequence(0xFFFAFFFA, write(0x04000120, "OB", secrets.word("signature")))
    into[0x04000500] = spelling.sequence(0x04000500, write(0x04000520, "OB", secrets.word("encrypted attributes")))
    into[0x04000561] = spelling.sequence(
        0x04000561, spelling.sequence(0x04000550, write(0x00100010, "PN", secrets.word("original attributes")))
    )
    into[0xFFFCFFFC] = write(0xFFFCFFFC, "OB", secrets.word("trailing padding"))
    into[0x00189999] = write(0x00189999, "LO", secrets.word("tag without an entry"))
    into[0x00120000] = write(0x00120000, "UL", secrets.packed("group length", "<I"))
    into[0x7FE10010] = write(0x7FE10010, "LO", secrets.word("creator behind the pixels"))
    into[0x7FE11001] = write(0x7FE11001, "OB", secrets.word("private behind the pixels"))


PLANTS: tuple[Plant, ...] = (sequences, privates, numbers, texts, moments, blobs)
