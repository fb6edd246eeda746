"""Transforms of albumentations, which carry boxes and masks along."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from inspect import signature
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import detkit.data.opencv  # noqa: F401  # sets it to one thread
from detkit.errors import UserError, did_you_mean
from detkit.ops.input_channels import COLOURS
from detkit.registry import Fraction, register
from detkit.structures import Outlines, Sample, Target
from detkit.structures.outlines import rectangles_of
from detkit.text import counted

_INSTALL = "pip install 'detkit[albumentations]' (2.0.8, MIT licence)"
_TARGETS = {"image", "bboxes", "masks"}
_TRIAL_SIDE = 64  # pixels
_NO_UPDATE = "NO_ALBUMENTATIONS_UPDATE"
_SEEDS = 2**62


@register("transform", "albumentations")
class Albumentations:
    """A list of transforms of the library albumentations, applied in order.

    Boxes follow, and masks if the detector learns masks. Every random choice follows from the seed
    of the run. Boxes that end up with too little of their area in the image are dropped, with their
    objects. After a step that moves pixels, `to_image` is unknown (NaN), so that only training
    images can have it.

    It needs the package albumentations 2.0.8, which has the MIT licence: the extra
    `detkit[albumentations]`. The package albumentationsx is refused for its AGPL licence.

    Args:
        transforms: Each a name, or a name with its arguments: `{GaussianBlur: {p: 0.3}}`. `OneOf`,
            `SomeOf` and `Sequential` take a list named `transforms`.
        least_kept: Share of a box's area that must remain in a step for the object to stay.
    """

    only_for_training = "moves boxes in a way that detections cannot follow back"

    def __init__(
        self, *, transforms: list[str | dict[str, Any]], least_kept: Fraction = 0.3
    ) -> None:
        self.transforms = transforms
        self.least_kept = least_kept
        self._library = _library()
        if not transforms:
            raise UserError("transforms is empty: list one or more.")
        steps = [_built(self._library, node) for node in transforms]
        for leaf in _leaves(steps):
            _require_same_pixels(self._library, leaf)
        self._moves = any(isinstance(leaf, self._library.DualTransform) for leaf in _leaves(steps))
        boxes = self._library.BboxParams(
            "pascal_voc",
            label_fields=["rows"],
            min_visibility=least_kept,
            clip=True,
            filter_invalid_bboxes=True,
        )
        self._steps = self._library.Compose(steps, bbox_params=boxes if self._moves else None)

    def __reduce__(self) -> tuple[Any, ...]:
        """Other processes build the list again; it has no state between images."""
        return partial(Albumentations, transforms=self.transforms, least_kept=self.least_kept), ()

    def refused_channels(self, channels: int) -> str | None:
        """Try each transform that only knows grey or RGB images on a small image."""
        if channels == COLOURS:
            return None
        for leaf in _leaves(self._steps.transforms):
            if _works(self._library, leaf, COLOURS) and not _works(self._library, leaf, channels):
                return (
                    f"albumentations' {type(leaf).__name__} does not take images of {channels} "
                    "channels: leave it out."
                )
        return None

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Change image, boxes and masks.

        Raises:
            UserError: A transform refuses the image.
        """
        seed = int(torch.randint(_SEEDS, (), generator=generator))
        # one stream for all: with equal seeds, all transforms would be applied or none
        self._steps.set_random_state(np.random.default_rng(seed), random.Random(seed))
        target = sample.target
        inputs: dict[str, Any] = {"image": _pixels(sample.image)}
        if self._moves:
            inputs |= {"bboxes": target.boxes.numpy(), "rows": np.arange(len(target))}
            if target.outlines is not None and target.outlines.has_mask.any():
                inputs["masks"] = _bitmaps(target.outlines, sample.size)
        try:
            outputs = self._steps(**inputs)
        except Exception as error:  # its transforms raise errors of many kinds
            raise UserError(
                f"albumentations cannot change {sample.path or 'the image'} of "
                f"{sample.size[1]} x {sample.size[0]} pixels: {type(error).__name__}: {error}. "
                "Change the list augmentation.train....transforms."
            ) from error
        image = _image(outputs["image"], sample.image)
        if not self._moves:
            return sample.replace(image=image)
        return sample.replace(
            image=image,
            target=_target(target, outputs),
            to_image=torch.full((3, 3), torch.nan, dtype=torch.float64),
        )


def _library() -> Any:
    """The package, without the request for updates that its import makes.

    Raises:
        UserError: It is not installed, or its AGPL successor is.
    """
    for name in ("albumentationsx", "AlbumentationsX"):
        try:
            distribution(name)
        except PackageNotFoundError:
            continue
        raise UserError(
            "the transform 'albumentations' uses albumentations, and its successor albumentationsx "
            "is installed, whose licence is the AGPL: pip uninstall albumentationsx, then "
            f"{_INSTALL}."
        )
    before = os.environ.get(_NO_UPDATE)
    os.environ[_NO_UPDATE] = "1"
    try:
        return import_module("albumentations")
    except ImportError as error:
        raise UserError(
            f"the transform 'albumentations' needs the package albumentations ({error}): "
            f"{_INSTALL}."
        ) from error
    finally:
        if before is None:
            del os.environ[_NO_UPDATE]
        else:
            os.environ[_NO_UPDATE] = before


def _built(library: Any, node: Any) -> Any:
    """A transform from its name, or from a mapping of its name to its arguments.

    Raises:
        UserError: It does not exist, refuses an argument, or needs what detkit does not give it.
    """
    name, arguments = _name_and_arguments(node)
    factory = getattr(library, name, None)
    steps = (library.BasicTransform, library.BaseCompose)
    if not isinstance(factory, type) or not issubclass(factory, steps):
        names = [
            n for n, v in vars(library).items() if isinstance(v, type) and issubclass(v, steps)
        ]
        raise UserError(
            f"albumentations has no transform '{name}'.{did_you_mean(name, names)} It needs a name "
            "of the library's transforms, such as GaussianBlur."
        )
    unknown = sorted(set(arguments) - set(signature(factory).parameters))
    if unknown:
        hint = did_you_mean(unknown[0], list(signature(factory).parameters))
        raise UserError(f"albumentations' {name} has no argument '{unknown[0]}'.{hint}")
    if "transforms" in arguments:
        inner = arguments["transforms"]
        if isinstance(inner, str) or not isinstance(inner, Sequence):
            raise UserError(
                f"albumentations' {name} takes a list of transforms, got transforms: {inner!r}: "
                "write {" + name + ": {transforms: [GaussianBlur, MotionBlur]}}."
            )
        inner = [_built(library, each) for each in inner]
        arguments = {**arguments, "transforms": inner}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            transform = factory(**arguments)
    except Exception as error:  # pydantic's and their own
        reason = " ".join(str(error).split())
        raise UserError(f"albumentations' {name} refuses its arguments: {reason}") from error
    _require_targets(library, transform)
    return transform


def _name_and_arguments(node: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(node, str):
        return node, {}
    if isinstance(node, Mapping) and len(node) == 1:
        ((name, arguments),) = node.items()
        if arguments is None or isinstance(arguments, Mapping):
            return str(name), arguments or {}
    raise UserError(
        f"transforms holds {node!r}: expected a name, or a name with its arguments such as "
        "{GaussianBlur: {p: 0.3}}."
    )


def _require_targets(library: Any, transform: Any) -> None:
    """Refuse a transform that needs more than an image, or that leaves boxes behind."""
    name = type(transform).__name__
    if not isinstance(transform, library.BasicTransform):
        return
    needed = sorted(set(transform.targets_as_params) - _TARGETS)
    if needed:
        raise UserError(
            f"albumentations' {name} needs {', '.join(needed)}, which detkit does not give it: "
            "leave it out."
        )
    if isinstance(transform, library.DualTransform) and "bboxes" not in transform.available_keys:
        raise UserError(
            f"albumentations' {name} moves pixels, and boxes cannot follow: leave it out."
        )


def _leaves(steps: Sequence[Any]) -> Iterator[Any]:
    """The transforms inside compositions."""
    for step in steps:
        inner = getattr(step, "transforms", None)
        yield from [step] if inner is None else _leaves(inner)


def _require_same_pixels(library: Any, leaf: Any) -> None:
    """Refuse a transform that changes the number type or the channels of an RGB image."""
    pixels = _tried(library, leaf, COLOURS)
    if pixels is None or (pixels.dtype == np.uint8 and pixels.shape[2:] == (COLOURS,)):
        return
    channels = pixels.shape[2] if pixels.ndim > 2 else 1  # noqa: PLR2004
    raise UserError(
        f"albumentations' {type(leaf).__name__} turns 8-bit RGB images into {pixels.dtype} with "
        f"{counted(channels, 'channel')}, but all images of a batch must be alike: leave it out. "
        "Detectors normalise images themselves (model.pixel_mean, model.pixel_std)."
    )


def _works(library: Any, leaf: Any, channels: int) -> bool:
    """Whether a transform takes a grey image with these channels."""
    pixels = _tried(library, leaf, channels)
    return pixels is not None and pixels.shape[2:] == (channels,)


def _tried(library: Any, leaf: Any, channels: int) -> NDArray[Any] | None:
    """What a transform makes of a grey image with these channels; None if it refuses it."""
    image = np.full((_TRIAL_SIDE, _TRIAL_SIDE, channels), 100, np.uint8)
    probability, leaf.p = leaf.p, 1.0
    try:
        return np.asarray(library.Compose([leaf], seed=0)(image=image)["image"])
    except Exception:  # its transforms raise errors of many kinds
        return None
    finally:
        leaf.p = probability


def _pixels(image: torch.Tensor) -> NDArray[Any]:
    """(H, W, C) as the library has it: uint8, or float32 from 0 to 1."""
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    # a copy, as some transforms change their input
    return pixels.copy() if pixels.dtype == np.uint8 else pixels / np.float32(255)


def _image(pixels: NDArray[Any], like: torch.Tensor) -> torch.Tensor:
    """The library's pixels as an image of the same number type."""
    pixels = np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], -1))  # it may drop one channel
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    return image if like.dtype == torch.uint8 else (image * 255).to(like.dtype)


def _bitmaps(outlines: Outlines, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(M, H, W) the pixels of each object with a mask; thousands of proposals have none."""
    bitmaps = [outlines.bitmap(row, size) for row in np.flatnonzero(outlines.has_mask).tolist()]
    return np.stack(bitmaps).astype(np.uint8)


def _target(target: Target, outputs: Mapping[str, Any]) -> Target:
    """The objects that are left, with their moved boxes and masks."""
    rows = torch.tensor(np.asarray(outputs["rows"]).astype(np.int64).reshape(-1))
    boxes = np.asarray(outputs["bboxes"], np.float32).reshape(-1, 4)
    left = replace(target, outlines=None).select(rows)
    outlines = None
    if target.outlines is not None:
        masked = np.flatnonzero(target.outlines.has_mask).tolist()
        bitmaps = dict(zip(masked, outputs.get("masks", []), strict=True))
        rings = [
            rectangles_of(np.asarray(bitmaps[row]) > 0) if row in bitmaps else []
            for row in rows.tolist()
        ]
        outlines = Outlines.of(rings)
    return replace(left, boxes=torch.from_numpy(boxes), outlines=outlines)
