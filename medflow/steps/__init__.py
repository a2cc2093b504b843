"""The journeys, one file each: the only place where files, identity, voxels, networks and rows meet."""
