"""Contracts of parts of every family: they can be built and have a docstring."""

from __future__ import annotations

import tempfile

from detkit.config.signatures import summary
from detkit.contracts import scenes
from detkit.contracts.case import Subject
from detkit.contracts.tensor_checks import require
from detkit.contracts.tiny_training import quiet

_ON_LEVELS = ("neck", "head", "layers", "proposer", "roi_head", "pooling", "mask_head", "priors")


def it_can_be_built(subject: Subject) -> None:
    """From its values and what assembly wires; it may refuse some feature levels, but not all."""
    if subject.family in _ON_LEVELS:
        part, _ = scenes.build_on_levels(subject)
    elif subject.family == "box_head":
        part, _ = scenes.build_on_region(subject)
    else:
        with tempfile.TemporaryDirectory() as folder, quiet():
            part = subject.build(run_folder=folder)
    require(part is not None, "building it returned None: return the part.")


def it_describes_itself(subject: Subject) -> None:
    """A docstring, for `detkit list`."""
    require(
        bool(summary(subject.factory)),
        "it has no docstring: state in one line what it is for, which `detkit list` shows.",
    )
