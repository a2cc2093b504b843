"""Whom a de-identified series belongs to: the record that goes to the vault, and nowhere else."""

from typing import Any

from pydicom import Dataset, dcmread
from pydicom.datadict import keyword_for_tag

from medflow.deid.cleaner import DAMAGE
from medflow.deid.pseudonyms import Pseudonyms
from medflow.dicom.content import open_content
from medflow.dicom.hush import hushed
from medflow.domain.safe import Identity, SeriesUID, StudyUID
from medflow.domain.series import Series
from medflow.errors import Reason, SeriesError

MODULES = [
    "SpecificCharacterSet",
    "TimezoneOffsetFromUTC",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "TypeOfPatientID",
    "PatientBirthDate",
    "PatientBirthTime",
    "PatientSex",
    "OtherPatientIDs",
    "OtherPatientIDsSequence",
    "OtherPatientNames",
    "PatientComments",
    "EthnicGroup",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName",
    "PhysiciansOfRecord",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "AdmissionID",
    "Modality",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDate",
    "SeriesTime",
    "SeriesDescription",
    "ProtocolName",
    "Laterality",
    "BodyPartExamined",
    "PatientPosition",
    "RequestAttributesSequence",
    "PerformedProcedureStepID",
    "Manufacturer",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "SoftwareVersions",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "StationName",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "SynchronizationFrameOfReferenceUID",
]
"""What a later report or picture needs of the patient, study, series, frame of reference and equipment modules."""
IDENTIFYING = [
    "PatientBirthName",
    "PatientMotherBirthName",
    "PatientBirthDateInAlternativeCalendar",
    "PatientDeathDateInAlternativeCalendar",
    "PatientAlternativeCalendar",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "PatientTelecomInformation",
    "CountryOfResidence",
    "RegionOfResidence",
    "MilitaryRank",
    "BranchOfService",
    "Occupation",
    "MedicalRecordLocator",
    "InsurancePlanIdentification",
    "ReferencedPatientSequence",
    "ResponsiblePerson",
    "ResponsibleOrganization",
    "CurrentPatientLocation",
    "PatientInstitutionResidence",
    "ServiceEpisodeID",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
    "RequestedProcedureID",
    "ScheduledProcedureStepID",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
    "ReferringPhysicianAddress",
    "ReferringPhysicianTelephoneNumbers",
    "ReferringPhysicianIdentificationSequence",
    "ConsultingPhysicianName",
    "RequestingPhysician",
    "NameOfPhysiciansReadingStudy",
    "PerformingPhysicianName",
    "OperatorsName",
]
"""What else a header says of who the patient is, and of who had to do with them: a second look searches for it."""


def identity_of(series: Series, pseudonyms: Pseudonyms, source_digest: str) -> Identity:
    """Read the identity of a series from its first object.

    Raises:
        SeriesError: the object cannot be read.
    """
    patient, _ = pseudonyms.patient(series.patient_id, series.issuer, series.study_instance_uid)
    return Identity(
        patient=patient,
        study=StudyUID(pseudonyms.uid(series.study_instance_uid)),
        series=SeriesUID(pseudonyms.uid(series.series_instance_uid)),
        source_digest=source_digest,
        modules=_modules(series),
        sop_instance_uids=tuple(instance.sop_instance_uid for instance in series.instances),
        sop_class_uids=tuple(instance.sop_class_uid for instance in series.instances),
    )


def _modules(series: Series) -> dict[str, Any]:
    wanted = {*MODULES, *IDENTIFYING}
    try:
        with hushed(), open_content(series.instances[0].file) as content:
            dataset = dcmread(content.stream, stop_before_pixels=True, force=True)
            kept = Dataset()
            kept.update(
                {
                    tag: dataset[tag]
                    for tag in dataset.keys()  # noqa: SIM118  (iterating would convert every element)
                    if keyword_for_tag(tag) in wanted
                }
            )
            model: dict[str, Any] = kept.to_json_dict(suppress_invalid_tags=True)
    except OSError:
        raise SeriesError(Reason.UNREADABLE_FILE) from None
    except DAMAGE:
        raise SeriesError(Reason.DAMAGED_HEADER) from None
    return model
