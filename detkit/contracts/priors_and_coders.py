"""Contracts of priors and box coders: prior boxes, and codes of boxes relative to them."""

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
from detkit.ops.variances import VarianceCoder
from detkit.structures import FeatureSpec, Priors

_SIZES = [(8, 12), (4, 6), (2, 3), (1, 2), (1, 1)]  # of the feature maps of 64 x 96 images

# Every coder can represent these: centres at most half a cell away, sides up to 3.9 times.
_PRIORS = Priors(
    torch.tensor([[0.0, 0, 8, 8], [8, 0, 24, 16], [0, 16, 32, 48]]),
    torch.tensor([8.0, 16, 32]),
    torch.tensor([0, 1, 2]),
)
_BOXES = torch.tensor([[0.0, -2, 10, 14], [1, 4.5, 23, 15.5], [-16, 11, 64, 61]])


def _generator(subject: Subject) -> tuple[Any, list[FeatureSpec]]:
    return scenes.build_on_levels(subject)


def priors_match_per_cell(subject: Subject) -> None:
    """Number, dtypes, strides and levels of the priors, for feature maps of several sizes."""
    generator, specs = _generator(subject)
    per_cell = getattr(generator, "per_cell", None)
    if not isinstance(per_cell, list) or len(per_cell) != len(specs):
        raise BrokenContractError(
            f"`per_cell` is {per_cell!r}, expected a list with the number of priors per cell for "
            f"each of {len(specs)} levels."
        )
    for sizes in (_SIZES[: len(specs)], [(3, 3)] * len(specs)):
        priors = generator(sizes, scenes.CPU)
        count = sum(h * w * n for (h, w), n in zip(sizes, per_cell, strict=True))
        require(
            isinstance(priors, Priors), f"it returned {type(priors).__name__}, expected Priors."
        )
        require(
            len(priors.boxes) == count,
            f"per_cell {per_cell} and maps of {sizes} cells make {count} priors, but there are "
            f"{len(priors.boxes)}: correct per_cell.",
        )
        require_tensor(priors.boxes, "boxes", (count, 4), torch.float32)
        require_tensor(priors.stride, "stride", (count,), torch.float32)
        require_tensor(priors.level, "level", (count,), torch.int64)
        require_finite(priors, "priors are not finite.")
        require(
            bool((priors.level.diff() >= 0).all()),
            "levels are mixed: return the priors level by level.",
        )
        require(bool((priors.stride > 0).all()), "a stride is not positive.")
        sides = priors.boxes[:, 2:] - priors.boxes[:, :2]
        require(
            bool((sides > 0).all()),
            "a prior has no area: represent a point by a box with sides of one stride.",
        )


def priors_are_in_row_major_order(subject: Subject) -> None:
    """Within a level the order is row, column, prior of the cell."""
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
            "priors are not in row-major order: order each level by row, column, prior of the "
            "cell, like the outputs of the head's layers.",
        )


def priors_are_cached(subject: Subject) -> None:
    """The same sizes and device return the same tensors; they also work in training."""
    generator, specs = _generator(subject)
    sizes = _SIZES[: len(specs)]
    with torch.inference_mode():
        first = generator(sizes, scenes.CPU)
    second = generator(list(sizes), scenes.CPU)
    require(
        second.boxes is first.boxes,
        "the same sizes were computed again: cache the priors by sizes and device.",
    )
    require(
        not first.boxes.is_inference(),
        "priors created while predicting cannot be used in training: create them under `with "
        "torch.inference_mode(False)`.",
    )
    smaller = generator([(1, 1)] * len(specs), scenes.CPU)
    require(
        len(smaller.boxes) < len(first.boxes),
        "other sizes returned the cached priors of the first sizes.",
    )


def _coder(subject: Subject) -> tuple[Any, int]:
    coder = subject.build()
    size = getattr(coder, "code_size", None)
    if not isinstance(size, int):
        raise BrokenContractError(f"`code_size` is {size!r}, expected an int: set it.")
    return coder, size


def decoding_inverts_encoding(subject: Subject) -> None:
    """Boxes survive encoding and decoding; each has `code_size` codes."""
    coder, size = _coder(subject)
    with unchanged(_BOXES, _PRIORS):
        codes = require_tensor(
            coder.encode(_BOXES, _PRIORS), "codes of 3 boxes", (3, size), torch.float32
        )
        boxes = require_tensor(coder.decode(codes, _PRIORS), "boxes", (3, 4), torch.float32)
    require_close(
        boxes,
        _BOXES,
        f"boxes {_BOXES[0].tolist()} ... were decoded as {boxes[0].tolist()} ...: decode must be "
        "the inverse of encode.",
        rtol=1e-4,
    )


def leading_axes_broadcast(subject: Subject) -> None:
    """A batch of codes or boxes with the priors of one image."""
    coder, size = _coder(subject)
    codes, boxes = scenes.random(2, 3, size), torch.stack([_BOXES, _BOXES + 1])
    message = "a batch (2, 3, ...) gave another result than each image alone: index axes from the "
    message += "end (`...`)."
    singles = torch.stack([coder.decode(image_codes, _PRIORS) for image_codes in codes])
    require_close(coder.decode(codes, _PRIORS), singles, message)
    singles = torch.stack([coder.encode(image_boxes, _PRIORS) for image_boxes in boxes])
    require_close(coder.encode(boxes, _PRIORS), singles, message)


def empty_inputs_give_empty_outputs(subject: Subject) -> None:
    """An image without objects."""
    coder, size = _coder(subject)
    no_priors = _PRIORS.at(slice(0))
    require_tensor(coder.encode(_BOXES[:0], no_priors), "codes", (0, size), torch.float32)
    require_tensor(coder.decode(torch.zeros(0, size), no_priors), "boxes", (0, 4), torch.float32)


def gradients_reach_every_code(subject: Subject) -> None:
    """A loss on decoded boxes has a gradient for every code."""
    coder, _ = _coder(subject)
    codes = coder.encode(_BOXES, _PRIORS).detach().requires_grad_()
    boxes: Tensor = coder.decode(codes, _PRIORS)
    require(boxes.requires_grad, "decoded boxes have no gradient: do not detach them.")
    total = (boxes * torch.tensor([1.0, 2, 3, 4])).sum()
    if isinstance(coder, VarianceCoder):
        total = total + coder.variances(codes).sum()
    (gradient,) = torch.autograd.grad(total, codes)
    require_finite(gradient, "the gradient of a code is not finite.")
    require(
        bool((gradient != 0).all()),
        "a code gets no gradient from its decoded box, or from its variances.",
    )


def any_code_decodes_to_a_finite_box(subject: Subject) -> None:
    """Large codes, as from an untrained network or half precision, and distant boxes."""
    coder, size = _coder(subject)
    for value in (100.0, -100.0):
        boxes = coder.decode(torch.full((3, size), value), _PRIORS)
        require_finite(
            boxes, f"codes of {value:g} gave boxes that are not finite: clamp the codes."
        )
        if isinstance(coder, VarianceCoder):
            variances = coder.variances(torch.full((3, size), value))
            require_finite(variances, f"codes of {value:g} gave variances that are not finite.")
    far = torch.tensor([[5.0, 5, 5, 5], [900, 900, 9000, 9000], [-900, 0, -899, 1]])
    require_finite(
        coder.encode(far, _PRIORS),
        "boxes without area or far from the prior gave codes that are not finite.",
    )


def half_precision_codes_are_decoded_in_float32(subject: Subject) -> None:
    """Decoding uses the precision of the priors."""
    coder, _ = _coder(subject)
    codes = coder.encode(_BOXES, _PRIORS)
    boxes = require_tensor(
        coder.decode(codes.bfloat16(), _PRIORS), "boxes of bfloat16 codes", (3, 4), torch.float32
    )
    require_close(
        boxes,
        _BOXES,
        "bfloat16 codes were decoded to other boxes than float32 codes.",
        rtol=0.05,
        atol=0.5,
    )
    require_same(
        coder.decode(codes, _PRIORS),
        coder.decode(codes, _PRIORS),
        "decoding the same codes twice gave different boxes.",
    )
