"""The attributes that the scan keeps, by number (PS3.6); whatever is not here is passed over unread."""

from enum import IntEnum


class Tag(IntEnum):
    """An attribute, by its keyword."""

    MediaStorageSOPClassUID = 0x00020002
    TransferSyntaxUID = 0x00020010
    DirectoryRecordSequence = 0x00041220
    SpecificCharacterSet = 0x00080005
    ImageType = 0x00080008
    SOPClassUID = 0x00080016
    SOPInstanceUID = 0x00080018
    SeriesDate = 0x00080021
    AcquisitionDate = 0x00080022
    ContentDate = 0x00080023
    AcquisitionDateTime = 0x0008002A
    SeriesTime = 0x00080031
    AcquisitionTime = 0x00080032
    ContentTime = 0x00080033
    Modality = 0x00080060
    FrameType = 0x00089007
    ComplexImageComponent = 0x00089208
    PatientName = 0x00100010
    PatientID = 0x00100020
    IssuerOfPatientID = 0x00100021
    PatientBirthDate = 0x00100030
    PatientWeight = 0x00101030
    SliceThickness = 0x00180050
    KVP = 0x00180060
    RepetitionTime = 0x00180080
    EchoTime = 0x00180081
    InversionTime = 0x00180082
    EchoNumbers = 0x00180086
    SpacingBetweenSlices = 0x00180088
    TriggerTime = 0x00181060
    RadiopharmaceuticalStartTime = 0x00181072
    RadionuclideTotalDose = 0x00181074
    RadionuclideHalfLife = 0x00181075
    RadiopharmaceuticalStartDateTime = 0x00181078
    FlipAngle = 0x00181314
    InversionTimes = 0x00189079
    EffectiveEchoTime = 0x00189082
    DiffusionBValue = 0x00189087
    DiffusionGradientOrientation = 0x00189089
    FrameAcquisitionDateTime = 0x00189074
    DecayCorrectionDateTime = 0x00189701
    DecayCorrected = 0x00189758
    AttenuationCorrected = 0x00189759
    ScatterCorrected = 0x00189760
    StudyInstanceUID = 0x0020000D
    SeriesInstanceUID = 0x0020000E
    AcquisitionNumber = 0x00200012
    InstanceNumber = 0x00200013
    ImagePositionPatient = 0x00200032
    ImageOrientationPatient = 0x00200037
    FrameOfReferenceUID = 0x00200052
    TemporalPositionIdentifier = 0x00200100
    StackID = 0x00209056
    TemporalPositionIndex = 0x00209128
    FrameAcquisitionNumber = 0x00209156
    NominalCardiacTriggerDelayTime = 0x00209153
    DimensionIndexValues = 0x00209157
    DimensionIndexPointer = 0x00209165
    FunctionalGroupPointer = 0x00209167
    UnassignedSharedConvertedAttributesSequence = 0x00209170
    DimensionIndexSequence = 0x00209222
    NominalPercentageOfCardiacPhase = 0x00209241
    SamplesPerPixel = 0x00280002
    PhotometricInterpretation = 0x00280004
    NumberOfFrames = 0x00280008
    Rows = 0x00280010
    Columns = 0x00280011
    PixelSpacing = 0x00280030
    CorrectedImage = 0x00280051
    BitsAllocated = 0x00280100
    BitsStored = 0x00280101
    HighBit = 0x00280102
    PixelRepresentation = 0x00280103
    PixelPaddingValue = 0x00280120
    PixelPaddingRangeLimit = 0x00280121
    RescaleIntercept = 0x00281052
    RescaleSlope = 0x00281053
    RescaleType = 0x00281054
    PixelDataProviderURL = 0x00287FE0
    RadiopharmaceuticalInformationSequence = 0x00540016
    FrameReferenceTime = 0x00541300
    Units = 0x00541001
    SUVType = 0x00541006
    DecayCorrection = 0x00541102
    SharedFunctionalGroupsSequence = 0x52009229
    PerFrameFunctionalGroupsSequence = 0x52009230
    FloatPixelData = 0x7FE00008
    DoubleFloatPixelData = 0x7FE00009
    PixelData = 0x7FE00010


WANTED = frozenset(map(int, Tag))

PRIVATE_GROUPS = frozenset({0x0009, 0x0019, 0x0029, 0x0043, 0x2001, 0x2005, 0x7053})
"""Private groups (GE, Siemens, Philips) that hold what the layout or SUV needs; resolved by their creator."""

SIEMENS_CSA = 0x0029
