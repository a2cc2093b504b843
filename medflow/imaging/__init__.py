"""DeidentifiedSeries -> Volume on a Grid: voxels read by their layout, given a unit, brought to a sampling."""
