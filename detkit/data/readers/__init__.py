"""Readers: formats of data sets on disk to one index of flat arrays."""
