"""Weights from one detector into another, by name and shape, and classes by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from detkit.errors import UserError
from detkit.weights.class_layers import ClassRows
from detkit.weights.source import WeightSource
from detkit.weights.tensor_names import simple_backbone_name

Shape = tuple[int, ...]
_COUNTER = "num_batches_tracked"  # of a batch norm; a frozen one has none, and nothing needs it


@dataclass(frozen=True)
class Coverage:
    """What became of each tensor of a detector, and of each of a file.

    Attributes:
        matched: Copied whole.
        by_class: Copied row by row, for the classes that both sides have.
        reshaped: Same name, other shape, not copied: (name, the file's, the detector's).
        missing: Not in the file; keeps its first values.
        unused: Only in the file.
        classes: The detector's classes whose rows were copied.
        new_classes: The detector's classes that the file does not have.
        left_classes: The file's classes that the detector does not have.
    """

    matched: list[str] = field(default_factory=list)
    by_class: list[str] = field(default_factory=list)
    reshaped: list[tuple[str, Shape, Shape]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    new_classes: list[str] = field(default_factory=list)
    left_classes: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether nothing of the detector keeps its first values."""
        return not (self.reshaped or self.missing or (self.by_class and self.new_classes))


@torch.no_grad()
def transfer(
    detector: nn.Module,
    source: WeightSource,
    class_names: Sequence[str],
    rows: Mapping[str, ClassRows],
) -> Coverage:
    """Copy what fits into a detector; the rest keeps its values.

    Args:
        detector: Changed in place.
        source: The weights.
        class_names: The detector's C classes, in label order.
        rows: Its tensors with rows for classes.

    Raises:
        UserError: Nothing fits.
    """
    own: dict[str, Tensor] = detector.state_dict()
    found = _by_own_name(own, source)
    pairs = pair_classes(class_names, source)
    coverage = Coverage(
        classes=[class_names[label] for label, _ in pairs],
        new_classes=[n for i, n in enumerate(class_names) if i not in dict(pairs)],
        left_classes=_left_classes(source, {slot for _, slot in pairs}),
    )
    for name, tensor in own.items():
        if name not in found:
            if not name.endswith(_COUNTER):
                coverage.missing.append(name)
            continue
        given = found[name][1]
        if name in rows:
            copied = _copy_rows(tensor, given, rows[name], pairs, source)
        else:
            copied = _copy_whole(tensor, given)
        if not copied:
            coverage.reshaped.append((name, tuple(given.shape), tuple(tensor.shape)))
        elif name in rows and coverage.new_classes:
            coverage.by_class.append(name)
        else:
            coverage.matched.append(name)
    used = {theirs for theirs, _ in found.values()}
    coverage.unused.extend(
        name for name in source.tensors if name not in used and not name.endswith(_COUNTER)
    )
    _require_something(coverage, source, own)
    return coverage


def _require_something(coverage: Coverage, source: WeightSource, own: Mapping[str, Tensor]) -> None:
    if not coverage.matched and not (coverage.by_class and coverage.classes):
        raise UserError(
            f"{source.path}: none of its {len(source.tensors)} tensors fits this detector "
            f"({_examples(source.tensors)} there; {_examples(own)} here): choose the model, or the "
            "backbone, that the weights were made for."
        )


def pair_classes(class_names: Sequence[str], source: WeightSource) -> list[tuple[int, int]]:
    """(label of the detector, logit of the file) for each class that both have.

    Names are compared as they are, and after that without regard to case, spaces and underscores.
    """
    slots = source.slots.names if source.slots else []
    exact = {name: slot for slot, name in enumerate(slots) if name is not None}
    loose: dict[str, list[int]] = {}
    for name, slot in exact.items():
        loose.setdefault(_loose(name), []).append(slot)
    pairs = []
    for label, name in enumerate(class_names):
        near = loose.get(_loose(name), [])
        if name in exact:
            pairs.append((label, exact[name]))
        elif len(near) == 1 and slots[near[0]] not in class_names:
            pairs.append((label, near[0]))
    return pairs


def _loose(name: str) -> str:
    return "".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _left_classes(source: WeightSource, taken: set[int]) -> list[str]:
    names = source.slots.names if source.slots else []
    return [name for slot, name in enumerate(names) if name is not None and slot not in taken]


def _by_own_name(own: Mapping[str, Tensor], source: WeightSource) -> dict[str, tuple[str, Tensor]]:
    """Our name to the file's name and tensor."""
    if not source.is_backbone:
        return {name: (name, source.tensors[name]) for name in own if name in source.tensors}
    simple = {simple_backbone_name(name): name for name in source.tensors}
    found = {}
    for name in own:
        theirs = simple.get(simple_backbone_name(name))
        if name.startswith("backbone.") and theirs is not None:
            found[name] = (theirs, source.tensors[theirs])
    return found


def _copy_whole(tensor: Tensor, given: Tensor) -> bool:
    if given.shape != tensor.shape:
        return False
    tensor.copy_(given)
    return True


def _copy_rows(
    tensor: Tensor,
    given: Tensor,
    rows: ClassRows,
    pairs: list[tuple[int, int]],
    source: WeightSource,
) -> bool:
    """Copy the rows of the classes that both have; False where the tensors are of two kinds."""
    if source.slots is None or not pairs:
        return True  # nothing is known to be the same, so every class keeps its first values
    expected = list(tensor.shape)
    expected[rows.axis] = rows.priors * (len(source.slots.names) + rows.extra)
    if list(given.shape) != expected:
        return False
    to, of = rows.blocks(tensor), rows.blocks(given)
    for label, slot in pairs:
        to[:, label] = of[:, slot]
    if rows.extra:
        to[:, -rows.extra :] = of[:, -rows.extra :]
    return True


def _examples(tensors: Mapping[str, Tensor]) -> str:
    return ", ".join(list(tensors)[:2])
