"""Groups of classes by how many training images show them, as LVIS defines them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Predicate

from detkit.errors import UserError
from detkit.evaluation.metric_base import mean_over_classes
from detkit.registry import PositiveInt
from detkit.structures import ClassCounts


def ascending(limits: tuple[int, int]) -> bool:
    """Whether the second limit is larger."""
    return limits[0] < limits[1]


Limits = Annotated[tuple[PositiveInt, PositiveInt], Predicate(ascending)]
LVIS_LIMITS = (10, 100)


class ClassFrequencies:
    """Rare, common and frequent classes of a training set, for averages of a number per class.

    There are no groups if the training set is unknown, or if all classes fall into one group, whose
    average would be the number over all classes.

    Paper: LVIS: A Dataset for Large Vocabulary Instance Segmentation (Gupta et al., 2019),
        https://arxiv.org/abs/1908.03195
    """

    def __init__(self, counts: ClassCounts | None, limits: Limits | None) -> None:
        """Divide the classes.

        Args:
            counts: How many training images show each class, if known.
            limits: The most training images of a rare and of a common class; None makes no groups.

        Raises:
            UserError: The limits do not ascend.
        """
        rare, common = limits or LVIS_LIMITS
        if not ascending((rare, common)):
            raise UserError(
                f"frequency_limits are [{rare}, {common}], expected the most training images of a "
                "rare class, then a larger number for common ones, such as [10, 100]."
            )
        images = [] if counts is None or limits is None else counts.images_with_class
        labels: dict[str, list[int]] = {"rare": [], "common": [], "frequent": []}
        for label, number in enumerate(images):
            group = "rare" if number <= rare else "common" if number <= common else "frequent"
            labels[group].append(label)
        groups = {name: members for name, members in labels.items() if members}
        self._labels = groups if len(groups) > 1 else {}
        self._ranges = {
            "rare": f"up to {rare}",
            "common": f"{rare + 1} to {common}",
            "frequent": f"over {common}",
        }

    def meanings(self) -> dict[str, str]:
        """How many training images show a class of each group, for tables."""
        return {
            f"AP_{name}": f"{range_} images"
            for name, range_ in self._ranges.items()
            if name in self._labels
        }

    def means(self, precisions: Sequence[float]) -> dict[str, float]:
        """`AP_rare`, `AP_common`, `AP_frequent`: means of the AP (C,) of the classes of a group.

        Classes whose AP is NaN, having no object to find, do not count.
        """
        return {
            f"AP_{name}": mean_over_classes(precisions[label] for label in labels)
            for name, labels in self._labels.items()
        }
