"""What every part promises, whatever its family: it can be built, and says what it is."""

from __future__ import annotations

import tempfile

from detkit import registry
from detkit.config.signatures import MISSING, arguments, check_value, summary
from detkit.contracts import scenes
from detkit.contracts.case import Subject
from detkit.contracts.networks import REGION_SHAPE
from detkit.contracts.tiny import quiet
from detkit.contracts.values import require

_ON_LEVELS = ("neck", "head", "proposer", "roi_head", "pooling", "priors")


def it_can_be_built(subject: Subject) -> None:
    """From its values, with what assembly wires; it may refuse some levels, but not all."""
    if subject.family in _ON_LEVELS:
        part, _ = scenes.build_on_levels(subject)
    else:
        with tempfile.TemporaryDirectory() as folder, quiet():
            part = subject.build(region_shape=REGION_SHAPE, run_folder=folder)
    require(part is not None, "building it gave None: return the part.")


def it_describes_itself(subject: Subject) -> None:
    """A docstring, for `detkit list`; and defaults of the types that the arguments declare."""
    factory = registry.get(subject.family, subject.name)
    require(
        bool(summary(factory)),
        "it has no docstring: say in one line what it is for, which `detkit list` shows.",
    )
    for argument in arguments(factory).values():
        if argument.wired or argument.slot is not None or argument.default is MISSING:
            continue
        expected = check_value(argument.annotation, argument.default)
        require(
            expected is None,
            f"the default of '{argument.name}' is {argument.default!r}, expected {expected}: change"
            " the default or the annotation.",
        )
