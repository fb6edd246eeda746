"""Searches with Optuna: the space, the study on disk, and its trials as jobs."""
