"""Targets of the quality branch of a dense head."""
