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
    PresentationIntentType = 0x00080068
    CodeValue = 0x00080100
    CodingSchemeDesignator = 0x00080102
    FrameType = 0x00089007
    ComplexImageComponent = 0x00089208
    PatientName = 0x00100010
    PatientID = 0x00100020
    IssuerOfPatientID = 0x00100021
    PatientBirthDate = 0x00100030
    PatientSex = 0x00100040
    PatientSize = 0x00101020
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
    ImagerPixelSpacing = 0x00181164
    ConvolutionKernel = 0x00181210
    FlipAngle = 0x00181314
    DiffusionDirectionality = 0x00189075
    ViewPosition = 0x00185101
    InversionTimes = 0x00189079
    EffectiveEchoTime = 0x00189082
    DiffusionBValue = 0x00189087
    DiffusionGradientOrientation = 0x00189089
    ASLContext = 0x00189257
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
    Laterality = 0x00200060
    ImageLaterality = 0x00200062
    FrameOfReferenceUID = 0x00200052
    TemporalPositionIdentifier = 0x00200100
    NumberOfTemporalPositions = 0x00200105
    ImagesInAcquisition = 0x00201002
    NumberOfSeriesRelatedInstances = 0x00201209
    StackID = 0x00209056
    TemporalPositionIndex = 0x00209128
    FrameAcquisitionNumber = 0x00209156
    InConcatenationNumber = 0x00209162
    InConcatenationTotalNumber = 0x00209163
    NominalCardiacTriggerDelayTime = 0x00209153
    DimensionIndexValues = 0x00209157
    DimensionIndexPointer = 0x00209165
    FunctionalGroupPointer = 0x00209167
    UnassignedSharedConvertedAttributesSequence = 0x00209170
    DimensionIndexSequence = 0x00209222
    NominalPercentageOfCardiacPhase = 0x00209241
    TemporalPositionTimeOffset = 0x0020930D
    ImageComments = 0x00204000
    SamplesPerPixel = 0x00280002
    PhotometricInterpretation = 0x00280004
    PlanarConfiguration = 0x00280006
    NumberOfFrames = 0x00280008
    Rows = 0x00280010
    Columns = 0x00280011
    PixelSpacing = 0x00280030
    PixelAspectRatio = 0x00280034
    CorrectedImage = 0x00280051
    BitsAllocated = 0x00280100
    BitsStored = 0x00280101
    HighBit = 0x00280102
    PixelRepresentation = 0x00280103
    PixelPaddingValue = 0x00280120
    PixelPaddingRangeLimit = 0x00280121
    BurnedInAnnotation = 0x00280301
    PixelSpacingCalibrationType = 0x00280A02
    WindowCenter = 0x00281050
    WindowWidth = 0x00281051
    RescaleIntercept = 0x00281052
    RescaleSlope = 0x00281053
    RescaleType = 0x00281054
    VOILUTFunction = 0x00281056
    ModalityLUTSequence = 0x00283000
    LUTDescriptor = 0x00283002
    LUTData = 0x00283006
    VOILUTSequence = 0x00283010
    PixelDataProviderURL = 0x00287FE0
    RealWorldValueMappingSequence = 0x00409096
    RadiopharmaceuticalInformationSequence = 0x00540016
    NumberOfRRIntervals = 0x00540061
    NumberOfTimeSlots = 0x00540071
    NumberOfSlices = 0x00540081
    NumberOfTimeSlices = 0x00540101
    SeriesType = 0x00541000
    ViewCodeSequence = 0x00540220
    FrameReferenceTime = 0x00541300
    ImageIndex = 0x00541330
    Units = 0x00541001
    SUVType = 0x00541006
    DecayCorrection = 0x00541102
    SharedFunctionalGroupsSequence = 0x52009229
    PerFrameFunctionalGroupsSequence = 0x52009230
    PresentationLUTShape = 0x20500020
    FloatPixelData = 0x7FE00008
    DoubleFloatPixelData = 0x7FE00009
    PixelData = 0x7FE00010


WANTED = frozenset(map(int, Tag))

PRIVATE_GROUPS = frozenset({0x0009, 0x0019, 0x0021, 0x0025, 0x0029, 0x0043, 0x0065, 0x2001, 0x2005, 0x7005, 0x7053})
"""Private groups (GE, Siemens, UIH, Philips, Canon) of what layout, counts or SUV need; resolved by their creator."""

SIEMENS_CSA, UIH_FRAMES = 0x0029, 0x0065
TILES = {SIEMENS_CSA: b"MOSAIC", UIH_FRAMES: b"VFRAME"}
"""Groups whose long values are kept too, where ImageType has the word: they say where the tiles of a picture lie."""
