"""What priors and box coders promise: places in the image, and boxes relative to them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from detkit.contracts import scenes
from detkit.contracts.case import BrokenContractError, Subject
from detkit.contracts.tensor_checks import (
    require,
    require_close,
    require_finite,
    require_same,
    require_tensor,
    unchanged,
)
from detkit.structures import FeatureSpec, Priors

_SIZES = [(8, 12), (4, 6), (2, 3), (1, 2), (1, 1)]  # of maps of images of 64 x 96

# Within the reach of every coder: centres half a cell away at most, sides up to 3.9 times.
_PRIORS = Priors(
    torch.tensor([[0.0, 0, 8, 8], [8, 0, 24, 16], [0, 16, 32, 48]]),
    torch.tensor([8.0, 16, 32]),
    torch.tensor([0, 1, 2]),
)
_BOXES = torch.tensor([[0.0, -2, 10, 14], [1, 4.5, 23, 15.5], [-16, 11, 64, 61]])


def _generator(subject: Subject) -> tuple[Any, list[FeatureSpec]]:
    return scenes.build_on_levels(subject)


def priors_come_as_per_cell_says(subject: Subject) -> None:
    """Number, types, strides and levels of the priors, for maps of several sizes."""
    generator, specs = _generator(subject)
    per_cell = getattr(generator, "per_cell", None)
    if not isinstance(per_cell, list) or len(per_cell) != len(specs):
        raise BrokenContractError(
            f"`per_cell` is {per_cell!r}, expected the number of priors in a cell of each of "
            f"{len(specs)} levels."
        )
    for sizes in (_SIZES[: len(specs)], [(3, 3)] * len(specs)):
        found = generator(sizes, scenes.CPU)
        count = sum(h * w * n for (h, w), n in zip(sizes, per_cell, strict=True))
        require(isinstance(found, Priors), f"it gave {type(found).__name__}, expected Priors.")
        require(
            len(found.boxes) == count,
            f"per_cell {per_cell} and maps {sizes} make {count} priors, there are "
            f"{len(found.boxes)}: let per_cell count those of a cell.",
        )
        require_tensor(found.boxes, "boxes", (count, 4), torch.float32)
        require_tensor(found.stride, "stride", (count,), torch.float32)
        require_tensor(found.level, "level", (count,), torch.int64)
        require_finite(found, "priors are not finite.")
        require(bool((found.level.diff() >= 0).all()), "levels are mixed: go level by level.")
        require(bool((found.stride > 0).all()), "a stride is not above 0.")
        sides = found.boxes[:, 2:] - found.boxes[:, :2]
        require(
            bool((sides > 0).all()),
            "a prior has no area: a point is a box as large as its stride.",
        )


def cells_go_row_by_row(subject: Subject) -> None:
    """Within a level the order is row, column, then the priors of a cell."""
    generator, specs = _generator(subject)
    sizes = [(3, 4)] * len(specs)
    boxes, start = generator(sizes, scenes.CPU).boxes, 0
    for number in generator.per_cell:
        level = boxes[start : start + 12 * number].view(3, 4, number, 4)
        centres = (level[..., :2] + level[..., 2:]) / 2
        start += 12 * number
        right = bool((centres[:, 1:, :, 0] > centres[:, :-1, :, 0]).all())
        down = bool((centres[1:, ..., 1] > centres[:-1, ..., 1]).all())
        require(
            right and down,
            "priors do not go row by row: in a level the order is row, column, prior of the cell, "
            "as the head's layers have it.",
        )


def priors_are_made_once(subject: Subject) -> None:
    """The same sizes and device give the same tensors again; they outlive inference mode."""
    generator, specs = _generator(subject)
    sizes = _SIZES[: len(specs)]
    with torch.inference_mode():
        first = generator(sizes, scenes.CPU)
    second = generator(list(sizes), scenes.CPU)
    require(
        second.boxes is first.boxes,
        "the same sizes were computed again: keep the priors by sizes and device.",
    )
    require(
        not first.boxes.is_inference(),
        "priors made while predicting cannot be used in training: make them under `with "
        "torch.inference_mode(False)`.",
    )
    others = generator([(1, 1)] * len(specs), scenes.CPU)
    require(len(others.boxes) < len(first.boxes), "other sizes gave the priors of the first.")


def _coder(subject: Subject) -> tuple[Any, int]:
    coder = subject.build()
    size = getattr(coder, "code_size", None)
    if not isinstance(size, int):
        raise BrokenContractError(f"`code_size` is {size!r}, expected an int: set it.")
    return coder, size


def decoding_undoes_encoding(subject: Subject) -> None:
    """Boxes come back from their codes, whose number is `code_size`."""
    coder, size = _coder(subject)
    with unchanged(_BOXES, _PRIORS):
        codes = require_tensor(
            coder.encode(_BOXES, _PRIORS), "codes of 3 boxes", (3, size), torch.float32
        )
        found = require_tensor(coder.decode(codes, _PRIORS), "boxes", (3, 4), torch.float32)
    require_close(
        found,
        _BOXES,
        f"boxes {_BOXES[0].tolist()} ... came back as {found[0].tolist()} ...: decode must undo "
        "encode.",
        rtol=1e-4,
    )


def leading_axes_broadcast(subject: Subject) -> None:
    """A batch of codes, or of boxes, against the priors of one image."""
    coder, size = _coder(subject)
    codes, boxes = scenes.random(2, 3, size), torch.stack([_BOXES, _BOXES + 1])
    said = "a batch (2, 3, ...) gave another result than its images one by one: index axes from "
    said += "the end (`...`)."
    singles = torch.stack([coder.decode(each, _PRIORS) for each in codes])
    require_close(coder.decode(codes, _PRIORS), singles, said)
    singles = torch.stack([coder.encode(each, _PRIORS) for each in boxes])
    require_close(coder.encode(boxes, _PRIORS), singles, said)


def no_boxes_have_no_codes(subject: Subject) -> None:
    """An image without objects."""
    coder, size = _coder(subject)
    nothing = Priors(*(field[:0] for field in _PRIORS))
    require_tensor(coder.encode(_BOXES[:0], nothing), "codes", (0, size), torch.float32)
    require_tensor(coder.decode(torch.zeros(0, size), nothing), "boxes", (0, 4), torch.float32)


def each_code_gets_a_gradient_from_its_box(subject: Subject) -> None:
    """A loss of boxes moves every code."""
    coder, _ = _coder(subject)
    codes = coder.encode(_BOXES, _PRIORS).detach().requires_grad_()
    boxes: Tensor = coder.decode(codes, _PRIORS)
    require(boxes.requires_grad, "decoded boxes have no way back to the codes: do not detach.")
    (gradient,) = torch.autograd.grad((boxes * torch.tensor([1.0, 2, 3, 4])).sum(), codes)
    require_finite(gradient, "the gradient of a code is not finite.")
    require(bool((gradient != 0).all()), "a code gets no gradient from its box.")


def any_code_gives_a_finite_box(subject: Subject) -> None:
    """Large codes, as an untrained network or half precision makes them, and boxes far away."""
    coder, size = _coder(subject)
    for value in (100.0, -100.0):
        found = coder.decode(torch.full((3, size), value), _PRIORS)
        require_finite(found, f"codes of {value:g} gave boxes that are not finite: clamp them.")
    far = torch.tensor([[5.0, 5, 5, 5], [900, 900, 9000, 9000], [-900, 0, -899, 1]])
    require_finite(
        coder.encode(far, _PRIORS), "boxes without area or far away gave codes that are not finite."
    )


def half_precision_codes_are_decoded_in_float32(subject: Subject) -> None:
    """In the precision of the priors."""
    coder, _ = _coder(subject)
    codes = coder.encode(_BOXES, _PRIORS)
    found = require_tensor(
        coder.decode(codes.bfloat16(), _PRIORS), "boxes of bfloat16 codes", (3, 4), torch.float32
    )
    require_close(found, _BOXES, "bfloat16 codes gave other boxes.", rtol=0.05, atol=0.5)
    require_same(coder.decode(codes, _PRIORS), coder.decode(codes, _PRIORS), "it is random.")
