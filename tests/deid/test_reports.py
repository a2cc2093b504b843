"""Structured reports keep their tree and what it measures; who is spoken of, and who speaks, goes."""

from datetime import datetime
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence
from pydicom.uid import EncapsulatedPDFStorage

from medflow.deid.codes import known_meaning
from medflow.deid.packaged import rows
from medflow.deid.profile import DEFAULT_OPTIONS, Choices, Option, profile_of
from medflow.dicom.hush import hushed
from medflow.errors import Reason
from tests.deid import others
from tests.deid.conftest import HOUSE
from tests.deid.others import code, item, measured, report
from tests.deid.phantom import Tokens, file_bytes, plant_aside, plant_everywhere
from tests.deid.test_pictures import TOKEN, Cleaned, cleaned, errors
from tests.dicom.drawn import attributes, uid, written

LENGTH = code("410668003", "SCT", "Length")
FINDING = code("121071", "DCM", "Finding")
COMMENT = code("121106", "DCM", "Comment")
GROUP = code("125007", "DCM", "Measurement Group")
OBSERVER = code("121008", "DCM", "Person Observer Name")


def tree(tmp_path: Path, *items: Dataset, **values: object) -> Dataset:
    """Clean a report of these items and give the root of what came out."""
    original = report(*items, **values)
    done = cleaned(tmp_path, written(original))
    assert done.report.reasons == {}
    return dcmread(done.of(original))


def number(value: str = "12.5", unit: str = "mm", concept: Dataset = LENGTH, **values: object) -> Dataset:
    return item("NUM", concept, "CONTAINS", MeasuredValueSequence=[measured(value, unit)], **values)


def test_measurements_codes_and_references_of_a_report_stay(tmp_path: Path) -> None:
    picture = others.ultrasound()
    group = item(
        "CONTAINER",
        GROUP,
        ContinuityOfContent="SEPARATE",
        ContentTemplateSequence=[attributes(MappingResource="DCMR", TemplateIdentifier="1410")],
        ContentSequence=[
            number("34.5", "mm"),
            number("2.5", "mGy.cm", code("113838", "DCM", "DLP")),
            item("CODE", FINDING, ConceptCodeSequence=[code("27925004", "SCT", "Nodule")]),
            item("TEXT", COMMENT, TextValue="CT chest axial, 5 mm"),
            item(
                "SCOORD",
                code("111030", "DCM", "Image Region"),
                GraphicType="POLYLINE",
                GraphicData=[1.5, 2.5, 8.0, 9.0],
                ContentSequence=[
                    item("IMAGE", None, "SELECTED FROM", ReferencedSOPSequence=[others.image_reference(picture)])
                ],
            ),
            item("TCOORD", FINDING, TemporalRangeType="POINT", ReferencedTimeOffsets=["1.5"]),
        ],
    )
    root = tree(tmp_path, group)

    kept = root.ContentSequence[0]
    first, dose, finding, comment, region, times = kept.ContentSequence
    assert (first.MeasuredValueSequence[0].NumericValue, dose.MeasuredValueSequence[0].NumericValue) == (34.5, 2.5)
    assert dose.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "mGy.cm"
    assert finding.ConceptCodeSequence[0].CodeValue == "27925004"
    assert comment.TextValue == "CT chest axial, 5 mm"
    assert list(region.GraphicData) == [1.5, 2.5, 8.0, 9.0]
    reference = region.ContentSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == HOUSE.uid(picture.SOPInstanceUID)
    assert times.ReferencedTimeOffsets == 1.5
    assert kept.ContentTemplateSequence[0].TemplateIdentifier == "1410"


def test_a_report_and_the_images_that_it_speaks_of_have_the_same_new_names(tmp_path: Path) -> None:
    picture = others.scintigram()
    shown = item("IMAGE", None, ReferencedSOPSequence=[others.image_reference(picture)])
    selection = others.key_objects(shown, CurrentRequestedProcedureEvidenceSequence=[others.evidence(picture)])

    done = cleaned(tmp_path, written(picture), written(selection))

    image, document = dcmread(done.of(picture)), dcmread(done.of(selection))
    evidence = document.CurrentRequestedProcedureEvidenceSequence[0]
    (listed,) = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert document.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == image.SOPInstanceUID
    assert listed.ReferencedSOPInstanceUID == image.SOPInstanceUID
    assert evidence.StudyInstanceUID == image.StudyInstanceUID == document.StudyInstanceUID
    assert image.PatientID == document.PatientID
    assert (image.StudyDate, image.ContentDate) == (document.StudyDate, document.ContentDate)


def test_no_token_comes_out_of_a_report_wherever_it_stands(tmp_path: Path) -> None:
    tokens = Tokens(seed=11)
    with hushed():
        inner = [*planted_items(tokens, "deep"), number()]
        for depth in range(4):
            box = item("CONTAINER", GROUP, ContinuityOfContent="SEPARATE", ContentSequence=inner)
            inner = [*planted_items(tokens, f"at {depth}"), box]
    dataset = report(*inner)
    plant_everywhere(dataset, tokens, where="root ")
    plant_aside_without_pixels(dataset, tokens)
    del dataset.PixelDataProviderURL  # with it, the object would be an image whose pixels are elsewhere
    dataset.ValueType = "CONTAINER"

    done = cleaned(tmp_path, file_bytes(dataset))

    assert done.report.files.accepted == 1
    assert TOKEN.findall(done.bytes()) == []
    kept = dcmread(done.of(dataset))
    for _ in range(4):
        kept = next(each for each in kept.ContentSequence if "ContentSequence" in each)
    assert [each.ValueType for each in kept.ContentSequence][-1] == "NUM"


def plant_aside_without_pixels(dataset: Dataset, tokens: Tokens) -> None:
    dataset.PixelData = b""
    plant_aside(dataset, tokens)
    del dataset.PixelData


def planted_items(tokens: Tokens, where: str) -> list[Dataset]:
    """Draw items that hide a token in each place of theirs."""

    def word(place: str) -> str:
        return tokens.word(f"{where} {place}")

    secret_code = code(word("code"), "99HOUSE", word("meaning"))
    template = attributes(MappingResource=word("resource")[:8], TemplateIdentifier=word("template"))
    reference = attributes(
        ReferencedSOPClassUID=tokens.uid(f"{where} class"), ReferencedSOPInstanceUID=tokens.uid(f"{where} object")
    )
    found = [
        item("TEXT", COMMENT, TextValue=f"Nodule seen by {word('text')}"),
        item("TEXT", code("121106", "DCM", word("another meaning")), TextValue=word("text alone")),
        item("TEXT", secret_code, TextValue="Nodule"),
        item(
            "PNAME", OBSERVER, PersonName=f"{word('name')}^A", ContentSequence=[item("TEXT", COMMENT, TextValue="CT")]
        ),
        item("CODE", FINDING, ConceptCodeSequence=[secret_code]),
        item(
            "CODE", COMMENT, TextValue=word("text of a code"), ConceptCodeSequence=[code("27925004", "SCT", word("m"))]
        ),
        number(unit=word("unit")[:12]),
        item("UIDREF", code("121012", "DCM", "Device Observer UID"), UID=tokens.uid(f"{where} uid")),
        item("DATETIME", COMMENT, DateTime=word("date")),
        item("IMAGE", None, ReferencedSOPSequence=[reference]),
        item("CONTAINER", secret_code, ContinuityOfContent=word("continuity"), ContentTemplateSequence=[template]),
        item("TABLE", COMMENT, TextValue=word("table")),
        item(word("type"), COMMENT, TextValue=word("of no type")),
    ]
    found[0].ObservationUID = tokens.uid(f"{where} observation")
    found[0].ObservationDateTime = word("observed")
    found[6].MeasuredValueSequence[0].PatientComments = word("comment in a value")
    found[9].ReferencedSOPSequence[0].IconImageSequence = Sequence([attributes(ImageComments=word("icon"))])
    return found


def test_every_concept_that_asks_for_identity_is_one_of_the_dictionary_and_has_an_option_or_none() -> None:
    table = list(rows("concepts.tsv"))
    known = {(row["scheme"], row["code"]): known_meaning(row["code"], row["scheme"]) for row in table}

    assert [row["code"] for row in table if row["option"] not in {"", *Option}] == []
    assert all(
        meaning is None or meaning.upper() == row["meaning"].upper()
        for row in table
        for meaning in [known[row["scheme"], row["code"]]]
    )
    assert None not in {meaning for (scheme, _), meaning in known.items() if scheme == "DCM"}


def test_without_the_option_for_characteristics_no_age_stays(tmp_path: Path) -> None:
    options = DEFAULT_OPTIONS - {Option.PATIENT_CHARACTERISTICS} | {Option.CLEAN_STRUCTURED_CONTENT}
    original = report(number("45", "a", code("121033", "DCM", "Subject Age")), number())

    done = cleaned(tmp_path, written(original), profile=profile_of(Choices(name="less", options=options)))

    (kept,) = dcmread(done.of(original)).ContentSequence
    assert kept.ConceptNameCodeSequence[0].CodeValue == "410668003"


def test_what_asks_who_somebody_is_goes_with_all_below_it(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        item("TEXT", code("121029", "DCM", "Subject Name"), "HAS OBS CONTEXT", TextValue="Bone"),
        item("TEXT", code("121030", "DCM", "Subject ID"), "HAS OBS CONTEXT", TextValue="Chest"),
        item("DATE", code("121031", "DCM", "Subject Birth Date"), "HAS OBS CONTEXT", Date="19500101"),
        item("TEXT", code("121016", "DCM", "Device Observer Serial Number"), "HAS OBS CONTEXT", TextValue="CT"),
        item("TEXT", code("113877", "DCM", "Device Name"), ContentSequence=[number()], TextValue="CT"),
        item(
            "CODE", code("121032", "DCM", "Subject Sex"), "HAS OBS CONTEXT", ConceptCodeSequence=[code("F", "DCM", "F")]
        ),
        number(),
    )

    names = [each.ConceptNameCodeSequence[0].CodeValue for each in root.ContentSequence]
    assert [name for name in names if name != "121032"] == ["410668003"]


def test_an_allowed_word_that_is_somebodys_name_does_not_stay_in_a_text(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        item("PNAME", OBSERVER, "HAS OBS CONTEXT", PersonName="Bone^Chest"),
        item("TEXT", COMMENT, TextValue="Bone of the chest, axial"),
    )

    assert root.ContentSequence[0].TextValue == "of the axial"


def test_ages_over_89_become_90_and_dates_move_with_the_patients(tmp_path: Path) -> None:
    age, old = code("121033", "DCM", "Subject Age"), "20240103101112.5"
    root = tree(
        tmp_path,
        number("94", "a", age),
        number("45", "a", age),
        number("1130", "mo", age),
        item("DATETIME", code("121125", "DCM", "DateTime of Recording of Log Entry"), DateTime=old),
    )

    over, under, months, when = root.ContentSequence
    assert (over.MeasuredValueSequence[0].NumericValue, under.MeasuredValueSequence[0].NumericValue) == (90, 45)
    assert len(months.MeasuredValueSequence) == 0
    days = HOUSE.day_shift(HOUSE.patient("P1", "", "")[0])
    moved = datetime.strptime(when.DateTime[:8], "%Y%m%d") - datetime.strptime(old[:8], "%Y%m%d")  # noqa: DTZ007
    assert (moved.days, when.DateTime[8:]) == (days, "101112.5")


def test_an_item_that_refers_to_another_follows_it_to_its_new_place(tmp_path: Path) -> None:
    gone = item("PNAME", OBSERVER, PersonName="A^B")
    to_number = attributes(RelationshipType="INFERRED FROM", ReferencedContentItemIdentifier=[1, 3, 2])
    to_nowhere = attributes(RelationshipType="INFERRED FROM", ReferencedContentItemIdentifier=[1, 1])
    box = item("CONTAINER", GROUP, ContinuityOfContent="SEPARATE", ContentSequence=[gone, number()])
    root = tree(tmp_path, gone, number("1", ContentSequence=[to_number, to_nowhere]), box)

    (reference,) = root.ContentSequence[0].ContentSequence
    assert list(reference.ReferencedContentItemIdentifier) == [1, 2, 1]
    assert root.ContentSequence[1].ContentSequence[0].MeasuredValueSequence[0].NumericValue == 12.5


def test_a_text_that_cannot_stay_holds_its_place_for_what_stands_below_it(tmp_path: Path) -> None:
    root = tree(tmp_path, item("TEXT", FINDING, TextValue="Herr Meyer", ContentSequence=[number()]))

    assert root.ContentSequence[0].TextValue == "REMOVED"
    assert root.ContentSequence[0].ContentSequence[0].MeasuredValueSequence[0].NumericValue == 12.5


def test_a_number_of_an_unknown_unit_has_no_value_any_more(tmp_path: Path) -> None:
    root = tree(tmp_path, number("12", "Meyers"))

    assert len(root.ContentSequence[0].MeasuredValueSequence) == 0


@pytest.mark.parametrize("kind", ["report", "verified", "dose", "selection"])
def test_a_cleaned_report_has_no_error_that_its_original_lacks(tmp_path: Path, kind: str) -> None:
    picture = others.ultrasound()
    text = item("TEXT", COMMENT, TextValue="Seen by Meyer")
    observer = item("PNAME", OBSERVER, "HAS OBS CONTEXT", PersonName="Doe^Jane")
    template = [attributes(MappingResource="DCMR", TemplateIdentifier="1500")]
    original = {
        "report": lambda: report(observer, number(), text, ContentTemplateSequence=template),
        "verified": lambda: report(number(), VerificationFlag="VERIFIED", VerifyingObserverSequence=[verifier()]),
        "dose": lambda: others.dose_report(number("5", "mGy", code("113830", "DCM", "Mean CTDIvol")), observer),
        "selection": lambda: others.key_objects(
            item("IMAGE", None, ReferencedSOPSequence=[others.image_reference(picture)]),
            CurrentRequestedProcedureEvidenceSequence=[others.evidence(picture)],
        ),
    }[kind]()
    original.AuthorObserverSequence = [attributes(ObserverType="PSN", PersonName="Doe^Jane", InstitutionName="X")]

    done = cleaned(tmp_path, written(original))

    assert errors(done.of(original)) <= errors(done.folder / "0000")
    assert b"Doe" not in done.bytes()
    assert b"Jane" not in done.bytes()


def verifier() -> Dataset:
    return attributes(
        VerifyingObserverName="Doe^Jane",
        VerifyingObserverIdentificationCodeSequence=[],
        VerifyingOrganization="Doe Clinic",
        VerificationDateTime="20240103101112",
    )


def test_without_the_option_for_content_reports_are_withheld_with_their_reason(tmp_path: Path) -> None:
    profile = profile_of(Choices(name="plain", options=DEFAULT_OPTIONS - {Option.CLEAN_STRUCTURED_CONTENT}))

    done = cleaned(tmp_path, written(report(number())), written(others.key_objects()), profile=profile)

    assert done.report.reasons == {Reason.REPORT_WITHHELD: 2}
    assert (done.report.files.ignored, done.files()) == (2, [])


def test_a_report_whose_title_nobody_knows_is_withheld(tmp_path: Path) -> None:
    done = cleaned(tmp_path, written(report(number(), ConceptNameCodeSequence=[code("X1", "99HOUSE", "Brief")])))

    assert done.report.reasons == {Reason.REPORT_WITHHELD: 1}
    assert done.files() == []


def test_a_report_of_a_transfer_syntax_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    content = written(report(number()))
    done = cleaned(tmp_path, content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0", 1))

    assert done.report.reasons == {Reason.DAMAGED_HEADER: 1}


def test_a_report_says_that_its_content_was_cleaned_and_nothing_of_pixels(tmp_path: Path) -> None:
    root = tree(tmp_path, number())

    codes = {each.CodeValue for each in root.DeidentificationMethodCodeSequence}
    assert "113104" in codes
    assert "113101" not in codes
    assert root.PatientIdentityRemoved == "YES"


def test_the_content_of_a_document_in_an_image_goes_whole(tmp_path: Path) -> None:
    picture = others.capture(ContentSequence=[number()])
    document = report(number(), SOPClassUID=EncapsulatedPDFStorage, SOPInstanceUID=uid("pdf"))

    done: Cleaned = cleaned(tmp_path, written(picture), written(document))

    assert done.report.reasons == {Reason.NOT_AN_IMAGE: 1}
    assert done.files() == [done.of(picture)]
