"""Copy weights into a detector: tensors by name and shape, classes by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from detkit.errors import UserError
from detkit.ops.input_channels import COLOURS, widen_weights
from detkit.weights.class_layers import ClassRows
from detkit.weights.tensor_names import simple_backbone_name
from detkit.weights.weight_source import WeightSource

Shape = tuple[int, ...]
# Counters that no prediction needs: batches of a batch norm, images of YOLOv2's box loss.
_COUNTERS = ("num_batches_tracked", "images_seen")


@dataclass(frozen=True)
class Coverage:
    """Which tensors were copied from a file into a detector, and which were not.

    Attributes:
        matched: Copied whole.
        by_class: Copied row by row, for the classes that both sides have.
        reshaped: Same name, other shape, not copied: (name, the file's, the detector's).
        missing: Not in the file; keeps its initial values.
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
        """Whether no tensor of the detector keeps initial values."""
        return not (self.reshaped or self.missing or (self.by_class and self.new_classes))


@torch.no_grad()
def transfer(
    detector: nn.Module,
    source: WeightSource,
    class_names: Sequence[str],
    rows: Mapping[str, ClassRows],
) -> Coverage:
    """Copy matching weights into a detector; all others keep their values.

    Args:
        detector: Changed in place.
        source: The weights.
        class_names: The detector's C classes, in label order.
        rows: Its tensors with rows for classes.

    Raises:
        UserError: Nothing fits.
    """
    tensors: dict[str, Tensor] = detector.state_dict()
    matches = _match_names(tensors, source)
    pairs = pair_classes(class_names, source)
    coverage = Coverage(
        classes=[class_names[label] for label, _ in pairs],
        new_classes=[n for i, n in enumerate(class_names) if i not in dict(pairs)],
        left_classes=_left_classes(source, {slot for _, slot in pairs}),
    )
    for name, tensor in tensors.items():
        if name not in matches:
            if not name.endswith(_COUNTERS):
                coverage.missing.append(name)
            continue
        value = matches[name].tensor
        if name in rows:
            copied = _copy_rows(tensor, value, rows[name], pairs, source)
        else:
            copied = _copy_whole(tensor, value)
        if not copied:
            coverage.reshaped.append((name, tuple(value.shape), tuple(tensor.shape)))
        elif name in rows and coverage.new_classes:
            coverage.by_class.append(name)
        else:
            coverage.matched.append(name)
    used = {match.name for match in matches.values()}
    coverage.unused.extend(
        name for name in source.tensors if name not in used and not name.endswith(_COUNTERS)
    )
    _require_match(coverage, source, tensors)
    return coverage


def _require_match(coverage: Coverage, source: WeightSource, tensors: Mapping[str, Tensor]) -> None:
    if not coverage.matched and not (coverage.by_class and coverage.classes):
        raise UserError(
            f"{source.path}: none of its {len(source.tensors)} tensors fits this detector "
            f"({_examples(source.tensors)} there; {_examples(tensors)} here): choose the model, or "
            "the backbone, that the weights were made for."
        )


def pair_classes(class_names: Sequence[str], source: WeightSource) -> list[tuple[int, int]]:
    """(label of the detector, logit of the file) for each class that both have.

    Names are compared as they are, and after that without regard to case, spaces and underscores.
    """
    slots = source.slots.names if source.slots else []
    exact = {name: slot for slot, name in enumerate(slots) if name is not None}
    by_simple_name: dict[str, list[int]] = {}
    for name, slot in exact.items():
        by_simple_name.setdefault(_simple(name), []).append(slot)
    pairs = []
    for label, name in enumerate(class_names):
        candidates = by_simple_name.get(_simple(name), [])
        if name in exact:
            pairs.append((label, exact[name]))
        elif len(candidates) == 1 and slots[candidates[0]] not in class_names:
            pairs.append((label, candidates[0]))
    return pairs


def _simple(name: str) -> str:
    return "".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _left_classes(source: WeightSource, paired: set[int]) -> list[str]:
    names = source.slots.names if source.slots else []
    return [name for slot, name in enumerate(names) if name is not None and slot not in paired]


class _FileTensor(NamedTuple):
    """A tensor of the file, by the file's name."""

    name: str
    tensor: Tensor


def _match_names(tensors: Mapping[str, Tensor], source: WeightSource) -> dict[str, _FileTensor]:
    """Find the file's tensor for each tensor of the detector, by name."""
    file = source.tensors
    if not source.is_backbone:
        return {name: _FileTensor(name, file[name]) for name in tensors if name in file}
    by_simple_name = {simple_backbone_name(name): name for name in file}
    matches = {}
    for name in tensors:
        file_name = by_simple_name.get(simple_backbone_name(name))
        if name.startswith("backbone.") and file_name is not None:
            matches[name] = _FileTensor(file_name, file[file_name])
    return matches


def _with_channels(value: Tensor, tensor: Tensor) -> Tensor:
    """The weights of a first convolution of RGB images, widened to the detector's channels."""
    takes_colours = value.ndim == tensor.ndim == 4 and value.shape[1] == COLOURS  # noqa: PLR2004
    if not takes_colours or value.shape[0] != tensor.shape[0] or tensor.shape[1] == COLOURS:
        return value
    return widen_weights(value, tensor.shape[1])


def _copy_whole(tensor: Tensor, value: Tensor) -> bool:
    value = _with_channels(value, tensor)
    if value.shape != tensor.shape:
        return False
    tensor.copy_(value)
    return True


def _copy_rows(
    tensor: Tensor,
    value: Tensor,
    rows: ClassRows,
    pairs: list[tuple[int, int]],
    source: WeightSource,
) -> bool:
    """Copy the rows of the classes that both have; False if the shapes do not correspond."""
    if source.slots is None or not pairs:
        return True  # no class in common: all keep their initial values
    expected = list(tensor.shape)
    expected[rows.axis] = rows.priors * (len(source.slots.names) + rows.extra)
    if list(value.shape) != expected:
        return False
    target, origin = rows.blocks(tensor), rows.blocks(value)
    for label, slot in pairs:
        target[:, label] = origin[:, slot]
    if rows.extra:
        target[:, -rows.extra :] = origin[:, -rows.extra :]
    return True


def _examples(tensors: Mapping[str, Tensor]) -> str:
    return ", ".join(list(tensors)[:2])
