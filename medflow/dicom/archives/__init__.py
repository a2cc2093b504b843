"""Zip, tar and gzip: read in place and in memory, member by member, within limits."""
