"""Checks and statistics of a data set."""
