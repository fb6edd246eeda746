"""State dicts of Ultralytics' YOLOv5 and YOLOv8, by detkit's names."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from detkit.weights.class_names import coco_slots_without_gaps
from detkit.weights.weight_source import WeightSource
from detkit.weights.yolo_outputs import separate_outputs

_COCO_CLASSES = 80
_PREFIX = re.compile(r"^(?:model\.)+(?=\d)")
_PRIORS = 3  # of a cell in YOLOv5 with anchors
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


class _Size(NamedTuple):
    """A size of a YOLO: its letter, factors, and the blocks of a fusion."""

    letter: str
    depth: float
    width: float
    blocks: int


_SIZES = {  # by the channels of the first convolution
    16: _Size("n", 0.33, 0.25, 1),
    32: _Size("s", 0.33, 0.5, 1),
    48: _Size("m", 0.67, 0.75, 2),
    64: _Size("l", 1.0, 1.0, 3),
    80: _Size("x", 1.33, 1.25, 4),
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
    """

    title: str
    layers: dict[int, str]
    head: int
    marks: tuple[str, ...]


_FAMILIES = (
    _Family(
        "YOLOv5", _YOLOV5_LAYERS, 24, ("24.m.2.weight", "23.cv3.conv.weight", "9.cv2.conv.weight")
    ),
    _Family("YOLOv5u", _YOLOV5_LAYERS, 24, ("24.cv3.2.2.weight", "23.cv3.conv.weight")),
    _Family("YOLOv8", _YOLOV8_LAYERS, 22, ("22.cv3.2.2.weight", "21.cv2.conv.weight")),
)


def is_ultralytics(names: Collection[str]) -> bool:
    """Whether these tensor names come from a detector of Ultralytics that detkit has."""
    return _family_of(names) is not None


def read_ultralytics(path: Path, named_tensors: Mapping[str, Tensor]) -> WeightSource:
    """Convert YOLOv5, YOLOv5u or YOLOv8 in their usual sizes.

    Args:
        path: The file.
        named_tensors: Its tensors by Ultralytics' names.
    """
    family = _family_of(named_tensors)
    if family is None:
        raise ValueError("these tensors belong to no YOLOv5 or YOLOv8")
    numbered = {_PREFIX.sub("", name): value for name, value in named_tensors.items()}
    size = _SIZES[len(numbered["0.conv.weight"])]
    tensors = _tensors(numbered, family)
    classes = len(tensors["head.layers.class_layers.0.bias"])
    if family.title == "YOLOv5":
        classes //= _PRIORS
        page, overrides = _page_with_anchors(numbered, size)
    else:
        page, overrides = _page_without_anchors(tensors, family, size)
    slots = coco_slots_without_gaps() if classes == _COCO_CLASSES else None
    known = ", with the classes of COCO" if slots else ""
    return WeightSource(
        path=path,
        kind=f"{family.title}{size.letter} of Ultralytics{known}",
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
    if any(re.match(r"2[24]\.(cv4|proto|one2one)", name) for name in numbered):
        return None  # segmentation, poses, turned boxes
    return next((f for f in _FAMILIES if numbered.issuperset(f.marks)), None)


def _tensors(numbered: Mapping[str, Tensor], family: _Family) -> dict[str, Tensor]:
    joins_three = {n.split(".")[0] for n in numbered if n.endswith(".cv3.conv.weight")}
    tensors: dict[str, Tensor] = {}
    for name, value in numbered.items():
        number, _, rest = name.partition(".")
        if int(number) == family.head:
            tensors |= _head_tensors(rest, value)
        elif int(number) in family.layers:
            rest = re.sub(r"^m\.(\d+)\.cv1\.", r"blocks.\1.squeeze.", rest)
            rest = re.sub(r"^m\.(\d+)\.cv2\.", r"blocks.\1.spread.", rest)
            rest = re.sub(r"^cv1\.", "entry.", rest)
            rest = re.sub(r"^cv2\.", "past." if number in joins_three else "join.", rest)
            rest = re.sub(r"^cv3\.", "join.", rest)
            rest = re.sub(r"\bbn\.", "norm.", rest)
            tensors[f"{family.layers[int(number)]}.{rest}"] = value
        else:
            tensors[name] = value
    return tensors


def _head_tensors(name: str, value: Tensor) -> dict[str, Tensor]:
    """A tensor of the head; anchors become a setting, and the bins of a distribution are fixed."""
    if name == "dfl.conv.weight" or name.startswith("anchor"):
        return {}
    match = re.fullmatch(r"m\.(\d)\.(weight|bias)", name)
    if match:
        return separate_outputs(int(match[1]), value, _PRIORS, match[2])
    name = re.sub(r"^cv2\.(\d)\.2\.", r"box_layers.\1.", name)
    name = re.sub(r"^cv3\.(\d)\.2\.", r"class_layers.\1.", name)
    name = re.sub(r"^cv2\.", "box_towers.", name)
    name = re.sub(r"^cv3\.", "class_towers.", name)
    return {f"head.layers.{name.replace('.bn.', '.norm.')}": value}


def _page_with_anchors(numbered: Mapping[str, Tensor], size: _Size) -> tuple[str, tuple[str, ...]]:
    overrides = list(_PIXELS)
    if size.letter not in _YOLOV5_PAGES:
        overrides += [
            f"model.backbone.depth={size.depth}",
            f"model.backbone.width={size.width}",
            f"model.{_PAN}.blocks={size.blocks}",
        ]
    anchors = numbered.get("24.anchors")
    if anchors is not None:  # in strides
        sizes = [
            [[round(side * stride, 3) for side in pair] for pair in level.float().tolist()]
            for level, stride in zip(anchors, _STRIDES, strict=True)
        ]
        overrides.append(f"model.head.priors.sizes={sizes}".replace(" ", ""))
    return _YOLOV5_PAGES.get(size.letter, "yolov5"), tuple(overrides)


def _page_without_anchors(
    tensors: Mapping[str, Tensor], family: _Family, size: _Size
) -> tuple[str, tuple[str, ...]]:
    widths = {
        kind: len(tensors[f"head.layers.{kind}_towers.0.0.conv.weight"])
        for kind in ("class", "box")
    }
    overrides = [f"model.head.layers.{kind}_channels={n}" for kind, n in widths.items()]
    if family.title == "YOLOv5u":
        overrides += [
            *_YOLOV5_ON_YOLOV8,
            f"model.backbone.depth={size.depth}",
            f"model.{_PAN}.blocks={size.blocks}",
        ]
    return f"yolov8{size.letter}", tuple(overrides)
