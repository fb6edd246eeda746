"""The findings of an audit with their severities, and the limits that decide these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from detkit.registry import Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

Box = tuple[float, float, float, float]
Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Limits:
    """The limits of findings and of their severities; shares refer to a split.

    Args:
        most_lost: Share of images, annotation files or boxes that may be dropped without an error.
        most_unannotated: Share of images that may lack an annotation file without a warning.
        most_leaked: Share of a split's images that may be in another split without an error.
        most_outside: Share of boxes that may extend far beyond their image without an error; above
            it, they probably belong to other images.
        most_unusual: Share of boxes that may be tiny, long or as large as their image without a
            warning.
        slight_overshoot: Pixels that a box may extend beyond its image without a warning.
        most_bits: Bits of 64 in which the hashes of two near-duplicates may differ.
        least_likeness: Smallest correlation of two near-duplicates.
        longest_ratio: Aspect ratio above which a box is long.
        covering: Share of its image above which a box covers the whole image.
        same_place: Difference in pixels up to which two boxes are equal.
        smallest_side: Side of an image in pixels below which it is tiny.
        most_objects: Number of detections per image that the COCO metric counts.
    """

    most_lost: Fraction = 0.05
    most_unannotated: Fraction = 0.3
    most_leaked: Fraction = 0.02
    most_outside: Fraction = 0.2
    most_unusual: Fraction = 0.1
    slight_overshoot: NonNegativeFloat = 2.0
    most_bits: NonNegativeInt = 12
    least_likeness: Fraction = 0.85
    longest_ratio: PositiveFloat = 10.0
    covering: Fraction = 0.95
    same_place: NonNegativeFloat = 0.5
    smallest_side: PositiveInt = 32
    most_objects: PositiveInt = 100


class Example(NamedTuple):
    """One case of a finding.

    Attributes:
        split: The split of the image.
        name: The file, relative to the data folder; empty for a whole split.
        detail: What is wrong with it, in a few words.
        boxes: The affected boxes, as annotated (xyxy).
        twin: The split and the file of the other image of a pair.
    """

    split: str
    name: str
    detail: str = ""
    boxes: tuple[Box, ...] = ()
    twin: tuple[str, str] | None = None


@dataclass(frozen=True)
class Finding:
    """All cases of one kind.

    Attributes:
        kind: What was found, as a heading.
        severity: "error": training would suffer; "warning": worth a look; "note": for information.
        count: How many there are.
        total: The number of checked items; 0 if that has no meaning.
        unit: What is counted.
        advice: What to do.
        examples: The cases, worst first; files or boxes by name.
        counts: How many there are in each split.
    """

    kind: str
    severity: Severity
    count: int
    total: int
    unit: str
    advice: str
    examples: Sequence[Example] = ()
    counts: dict[str, int] = field(default_factory=dict)

    def as_plain(self) -> dict[str, Any]:
        """The finding as plain values for JSON."""
        plain = asdict(self)
        plain["examples"] = [example._asdict() for example in self.examples]
        return plain


def make_findings(
    kind: str,
    examples: Sequence[Example],
    totals: dict[str, int],
    *,
    unit: str,
    advice: str,
    severity: Severity = "warning",
    error_above: float | None = None,
    warning_above: float | None = None,
) -> list[Finding]:
    """The finding of some examples, or none; raised if a split's share is above a limit.

    Args:
        kind: What was found.
        examples: One for each that is counted.
        totals: In each split, of how many.
        unit: What is counted.
        advice: What to do.
        severity: How bad it is below the limits.
        error_above: Share of a split above which it is an error.
        warning_above: Share of a split above which it is a warning.
    """
    if not examples:
        return []
    counts = dict.fromkeys(totals, 0)
    for example in examples:
        counts[example.split] = counts.get(example.split, 0) + 1
    share = max(count / max(totals.get(split, 0), 1) for split, count in counts.items())
    if warning_above is not None and share > warning_above:
        severity = "warning"
    if error_above is not None and share > error_above:
        severity = "error"
    present = {split: count for split, count in counts.items() if count}
    total = 0 if unit == "pairs" else sum(totals.values())
    return [Finding(kind, severity, len(examples), total, unit, advice, examples, present)]
