"""State dicts of Ultralytics' YOLOv5, YOLOv8 and YOLO11, by detkit's names."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from detkit.errors import UserError
from detkit.weights.class_names import coco_slots_without_gaps
from detkit.weights.ultralytics_tensors import PRIORS, renamed_tensors
from detkit.weights.weight_source import WeightSource

_COCO_CLASSES = 80
_PREFIX = re.compile(r"^(?:model\.)+(?=\d)")
_STRIDES = (8, 16, 32)
_LICENCE = "licence: Ultralytics publishes its code and weights under AGPL-3.0"
_PIXELS = ("model.pixel_mean=[0,0,0]", "model.pixel_std=[255,255,255]")
_BACKBONE = {
    0: "backbone.stages.0",
    **{2 * stage - 1: f"backbone.stages.{stage}.0" for stage in range(1, 5)},
    **{2 * stage: f"backbone.stages.{stage}.1" for stage in range(1, 5)},
    9: "neck.necks.spp.pooling",
}
_PAN = "neck.necks.pan"
_YOLOV5_LAYERS = {
    **_BACKBONE,
    10: f"{_PAN}.lateral.1",
    13: f"{_PAN}.upward.1",
    14: f"{_PAN}.lateral.0",
    17: f"{_PAN}.upward.0",
    18: f"{_PAN}.halving.0",
    20: f"{_PAN}.downward.0",
    21: f"{_PAN}.halving.1",
    23: f"{_PAN}.downward.1",
}
_YOLOV8_LAYERS = {
    **_BACKBONE,
    12: f"{_PAN}.upward.1",
    15: f"{_PAN}.upward.0",
    16: f"{_PAN}.halving.0",
    18: f"{_PAN}.downward.0",
    19: f"{_PAN}.halving.1",
    21: f"{_PAN}.downward.1",
}
_YOLO11_LAYERS = {
    **_BACKBONE,
    10: "neck.necks.psa.attention",
    13: f"{_PAN}.upward.1",
    16: f"{_PAN}.upward.0",
    17: f"{_PAN}.halving.0",
    19: f"{_PAN}.downward.0",
    20: f"{_PAN}.halving.1",
    22: f"{_PAN}.downward.1",
}


# The letter of each size, by the channels of the first convolution and whether the first stage has
# several blocks.
_SIZES = {
    (16, False): "n",
    (32, False): "s",
    (48, True): "m",
    (64, True): "l",
    (80, True): "x",
}
_YOLO11_SIZES = {
    (16, False): "n",
    (32, False): "s",
    (64, False): "m",
    (64, True): "l",
    (96, True): "x",
}
_SEVERAL_BLOCKS = "2.m.1.cv1.conv.weight"


class _Scale(NamedTuple):
    """The factors of a size of YOLOv5, and the blocks of a fusion."""

    depth: float
    width: float
    blocks: int


_YOLOV5_SCALES = {
    "n": _Scale(0.33, 0.25, 1),
    "s": _Scale(0.33, 0.5, 1),
    "m": _Scale(0.67, 0.75, 2),
    "l": _Scale(1.0, 1.0, 3),
    "x": _Scale(1.33, 1.25, 4),
}
_YOLOV5_PAGES = {"n": "yolov5n", "s": "yolov5s", "l": "yolov5"}
# The head of the later YOLOv5 is YOLOv8's.
_YOLOV5_ON_YOLOV8 = (
    "model.backbone.stem_size=6",
    "model.backbone.stage=c3",
    "model.backbone.blocks=[3,6,9,3]",
    "model.backbone.most_channels=1024",
    f"model.{_PAN}.stage=c3",
    f"model.{_PAN}.narrows=true",
)


class _Family(NamedTuple):
    """A network of Ultralytics.

    Attributes:
        title: Its name.
        layers: detkit's name of each of its numbered layers.
        head: The number of its last layer, the head.
        marks: Tensors that only this network has all of.
        sizes: The letters of its sizes.
    """

    title: str
    layers: dict[int, str]
    head: int
    marks: tuple[str, ...]
    sizes: dict[tuple[int, bool], str] = _SIZES


_FAMILIES = (
    _Family(
        "YOLOv5", _YOLOV5_LAYERS, 24, ("24.m.2.weight", "23.cv3.conv.weight", "9.cv2.conv.weight")
    ),
    _Family("YOLOv5u", _YOLOV5_LAYERS, 24, ("24.cv3.2.2.weight", "23.cv3.conv.weight")),
    _Family("YOLOv8", _YOLOV8_LAYERS, 22, ("22.cv3.2.2.weight", "21.cv2.conv.weight")),
    _Family(
        "YOLO11",
        _YOLO11_LAYERS,
        23,
        ("23.cv3.2.2.weight", "22.cv2.conv.weight", "10.m.0.attn.qkv.conv.weight"),
        _YOLO11_SIZES,
    ),
)


def is_ultralytics(names: Collection[str]) -> bool:
    """Whether these tensor names come from a detector of Ultralytics that detkit has."""
    return _family_of(names) is not None


def read_ultralytics(path: Path, named_tensors: Mapping[str, Tensor]) -> WeightSource:
    """Convert YOLOv5, YOLOv5u, YOLOv8 or YOLO11 in their usual sizes.

    Args:
        path: The file.
        named_tensors: Its tensors by Ultralytics' names.

    Raises:
        UserError: The network has another size.
    """
    family = _family_of(named_tensors)
    if family is None:
        raise ValueError("these tensors belong to no YOLOv5, YOLOv8 or YOLO11")
    numbered = {_PREFIX.sub("", name): value for name, value in named_tensors.items()}
    size = _size_of(path, numbered, family)
    tensors = renamed_tensors(numbered, family.layers, family.head)
    classes = len(tensors["head.layers.class_layers.0.bias"])
    if family.title == "YOLOv5":
        classes //= PRIORS
        page, overrides = _page_with_anchors(numbered, size)
    else:
        page, overrides = _page_without_anchors(tensors, family, size)
    slots = coco_slots_without_gaps() if classes == _COCO_CLASSES else None
    known = ", with the classes of COCO" if slots else ""
    return WeightSource(
        path=path,
        kind=f"{family.title}{size} of Ultralytics{known}",
        tensors=tensors,
        logits=classes,
        slots=slots,
        page=page,
        augmentation="standard",
        overrides=overrides,
        notes=(_LICENCE,),
    )


def _family_of(names: Collection[str]) -> _Family | None:
    numbered = {_PREFIX.sub("", name) for name in names if _PREFIX.match(name)}
    if any(re.match(r"2[2-4]\.(cv4|proto|one2one)", name) for name in numbered):
        return None  # segmentation, poses, turned boxes
    return next((f for f in _FAMILIES if numbered.issuperset(f.marks)), None)


def _size_of(path: Path, numbered: Mapping[str, Tensor], family: _Family) -> str:
    channels = len(numbered["0.conv.weight"])
    size = family.sizes.get((channels, _SEVERAL_BLOCKS in numbered))
    if size is None:
        known = ", ".join(f"{count} ({letter})" for (count, _), letter in family.sizes.items())
        raise UserError(
            f"{path}: a {family.title} with {channels} channels in its first convolution, but "
            f"detkit has only the published sizes: {known}."
        )
    return size


def _page_with_anchors(numbered: Mapping[str, Tensor], size: str) -> tuple[str, tuple[str, ...]]:
    overrides = list(_PIXELS)
    if size not in _YOLOV5_PAGES:
        scale = _YOLOV5_SCALES[size]
        overrides += [
            f"model.backbone.depth={scale.depth}",
            f"model.backbone.width={scale.width}",
            f"model.{_PAN}.blocks={scale.blocks}",
        ]
    anchors = numbered.get("24.anchors")
    if anchors is not None:  # in strides
        sizes = [
            [[round(side * stride, 3) for side in pair] for pair in level.float().tolist()]
            for level, stride in zip(anchors, _STRIDES, strict=True)
        ]
        overrides.append(f"model.head.priors.sizes={sizes}".replace(" ", ""))
    return _YOLOV5_PAGES.get(size, "yolov5"), tuple(overrides)


def _page_without_anchors(
    tensors: Mapping[str, Tensor], family: _Family, size: str
) -> tuple[str, tuple[str, ...]]:
    widths = {
        kind: tensors[f"head.layers.{kind}_layers.0.weight"].shape[1] for kind in ("class", "box")
    }
    overrides = [f"model.head.layers.{kind}_channels={n}" for kind, n in widths.items()]
    if family.title == "YOLOv5u":
        scale = _YOLOV5_SCALES[size]
        overrides += [
            *_YOLOV5_ON_YOLOV8,
            f"model.backbone.depth={scale.depth}",
            f"model.{_PAN}.blocks={scale.blocks}",
        ]
    network = "yolo11" if family.title == "YOLO11" else "yolov8"
    return f"{network}{size}", tuple(overrides)
