"""The vault learns everything that a header says of who the patient is."""

from pathlib import Path

import pytest
from pydicom.datadict import keyword_dict

from medflow.deid.identity import IDENTIFYING, MODULES, identity_of
from medflow.dicom.scan import scan_folder
from tests.deid.conftest import HOUSE
from tests.dicom.drawn import attributes, one_slice, save


def test_every_attribute_that_the_vault_wants_is_one_of_the_dictionary_and_named_once() -> None:
    wanted = [*MODULES, *IDENTIFYING]

    assert [keyword for keyword in wanted if keyword not in keyword_dict] == []
    assert len(wanted) == len(set(wanted))


@pytest.mark.parametrize("keyword", ["PatientBirthName", "PatientMotherBirthName", "PatientAddress", "OperatorsName"])
def test_names_and_addresses_reach_the_vault(tmp_path: Path, keyword: str) -> None:
    dataset = one_slice()
    setattr(dataset, keyword, "Canary")
    dataset.ReferencedPatientSequence = [attributes(ReferencedSOPInstanceUID="1.2.3.4")]

    (series,) = scan_folder(save(tmp_path / "export", dataset)).series
    identity = identity_of(series, HOUSE, "source")

    assert "Canary" in str(identity.modules[f"{keyword_dict[keyword]:08X}"])
    assert "1.2.3.4" in str(identity.modules["00081120"])
    assert "Canary" not in repr(identity)
