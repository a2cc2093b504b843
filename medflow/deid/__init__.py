"""Series -> DeidentifiedSeries: identity ends here (DICOM PS3.15 Annex E)."""
