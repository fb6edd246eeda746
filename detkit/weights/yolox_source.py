"""Weight files of YOLOX, of its authors and of MMDetection, by detkit's names."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from torch import Tensor

from detkit.weights.class_names import coco_slots_without_gaps
from detkit.weights.weight_source import WeightSource

_COCO_CLASSES = 80
_MARKS = {
    "the authors": ("backbone.backbone.dark5.2.conv3.conv.weight", "head.obj_preds.0.weight"),
    "MMDetection": (
        "backbone.stage4.2.final_conv.conv.weight",
        "bbox_head.multi_level_conv_obj.0.weight",
    ),
}
_DEPTHWISE = ("backbone.backbone.dark2.0.dconv.conv.weight", "backbone.stage1.0.depthwise_conv.")
_STEM = "backbone.stages.0.conv.weight"
_FULL_STEM, _PAGE_WIDTH, _PAGE_BLOCKS = 64, 0.5, 1
_DEPTHS = {1: 0.33, 2: 0.67, 3: 1.0, 4: 1.33}  # by the blocks of the first stage
# The row and the column of a 2x2 cell that each group of input channels holds, in their order.
_FOCUS = ((0, 0), (1, 0), (0, 1), (1, 1))
Replacement = str | Callable[[re.Match[str]], str]
_AUTHORS: list[tuple[str, Replacement]] = [
    (r"^backbone\.backbone\.stem\.conv\.", "backbone.stages.0."),
    (r"^backbone\.backbone\.dark(\d)\.", lambda m: f"backbone.stages.{int(m[1]) - 1}."),
    (r"^backbone\.lateral_conv0\.", "neck.lateral.1."),
    (r"^backbone\.reduce_conv1\.", "neck.lateral.0."),
    (r"^backbone\.C3_p4\.", "neck.upward.1."),
    (r"^backbone\.C3_p3\.", "neck.upward.0."),
    (r"^backbone\.bu_conv2\.", "neck.halving.0."),
    (r"^backbone\.bu_conv1\.", "neck.halving.1."),
    (r"^backbone\.C3_n3\.", "neck.downward.0."),
    (r"^backbone\.C3_n4\.", "neck.downward.1."),
    (r"^head\.stems\.", "head.layers.entries."),
    (r"^head\.cls_convs\.", "head.layers.class_towers."),
    (r"^head\.reg_convs\.", "head.layers.box_towers."),
    (r"^head\.cls_preds\.", "head.layers.class_layers."),
    (r"^head\.reg_preds\.", "head.layers.box_layers."),
    (r"^head\.obj_preds\.", "head.layers.quality_layers."),
    (r"^(backbone\.stages\.4\.1\.)conv1\.", r"\1entry."),
    (r"^(backbone\.stages\.4\.1\.)conv2\.", r"\1join."),
    (r"\.m\.(\d+)\.conv1\.", r".blocks.\1.squeeze."),
    (r"\.m\.(\d+)\.conv2\.", r".blocks.\1.spread."),
    (r"\.conv1\.", ".entry."),
    (r"\.conv2\.", ".past."),
    (r"\.conv3\.", ".join."),
]
_MMDETECTION: list[tuple[str, Replacement]] = [
    (r"^backbone\.stem\.conv\.", "backbone.stages.0."),
    (r"^backbone\.stage(\d)\.", r"backbone.stages.\1."),
    (r"^neck\.reduce_layers\.(\d)\.", lambda m: f"neck.lateral.{1 - int(m[1])}."),
    (r"^neck\.top_down_blocks\.(\d)\.", lambda m: f"neck.upward.{1 - int(m[1])}."),
    (r"^neck\.downsamples\.", "neck.halving."),
    (r"^neck\.bottom_up_blocks\.", "neck.downward."),
    (r"^neck\.out_convs\.", "head.layers.entries."),
    (r"^bbox_head\.multi_level_cls_convs\.", "head.layers.class_towers."),
    (r"^bbox_head\.multi_level_reg_convs\.", "head.layers.box_towers."),
    (r"^bbox_head\.multi_level_conv_cls\.", "head.layers.class_layers."),
    (r"^bbox_head\.multi_level_conv_reg\.", "head.layers.box_layers."),
    (r"^bbox_head\.multi_level_conv_obj\.", "head.layers.quality_layers."),
    (r"^(backbone\.stages\.4\.1\.)conv1\.", r"\1entry."),
    (r"^(backbone\.stages\.4\.1\.)conv2\.", r"\1join."),
    (r"\.blocks\.(\d+)\.conv1\.", r".blocks.\1.squeeze."),
    (r"\.blocks\.(\d+)\.conv2\.", r".blocks.\1.spread."),
    (r"\.main_conv\.", ".entry."),
    (r"\.short_conv\.", ".past."),
    (r"\.final_conv\.", ".join."),
]
_TABLES = {"the authors": _AUTHORS, "MMDetection": _MMDETECTION}


def is_yolox(names: Collection[str]) -> bool:
    """Whether these tensor names come from YOLOX; its nano size has other convolutions."""
    return _writer_of(names) is not None


def read_yolox(path: Path, named_tensors: Mapping[str, Tensor]) -> WeightSource:
    """Convert YOLOX of its authors or of MMDetection; tiny, s, m, l and x.

    Args:
        path: The file.
        named_tensors: Its tensors by either's names.
    """
    writer = _writer_of(named_tensors)
    if writer is None:
        raise ValueError("these tensors belong to no YOLOX")
    tensors = {}
    for name, value in named_tensors.items():
        for pattern, replacement in _TABLES[writer]:
            name = re.sub(pattern, replacement, name)  # noqa: PLW2901
        tensors[name.replace(".bn.", ".norm.")] = value
    tensors[_STEM] = unfolded_stem(tensors[_STEM])
    classes = len(tensors["head.layers.class_layers.0.bias"])
    slots = coco_slots_without_gaps() if classes == _COCO_CLASSES else None
    return WeightSource(
        path=path,
        kind=f"YOLOX of {writer}{', with the classes of COCO' if slots else ''}",
        tensors=tensors,
        logits=classes,
        slots=slots,
        page="yolox_s",
        augmentation="standard",
        overrides=_size_overrides(tensors),
    )


def unfolded_stem(weight: Tensor) -> Tensor:
    """Turn YOLOX's first layer into a 6x6 convolution of stride 2 on RGB images.

    YOLOX folds each 2x2 cell of a BGR image into 12 channels and applies a 3x3 convolution.

    Args:
        weight: (C, 12, 3, 3).

    Returns:
        (C, 3, 6, 6).
    """
    groups = weight.reshape(len(weight), len(_FOCUS), 3, 3, 3)
    unfolded = weight.new_zeros(len(weight), 3, 6, 6)
    for group, (row, column) in enumerate(_FOCUS):
        unfolded[:, :, row::2, column::2] = groups[:, group]
    return unfolded.flip(1)


def _writer_of(names: Collection[str]) -> str | None:
    if any(name.startswith(_DEPTHWISE) for name in names):
        return None
    fitting = (w for w, marks in _MARKS.items() if all(mark in names for mark in marks))
    return next(fitting, None)


def _size_overrides(tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The settings of sizes other than s, the page's."""
    width = len(tensors[_STEM]) / _FULL_STEM
    blocks = sum(
        re.fullmatch(r"backbone\.stages\.1\.1\.blocks\.\d+\.squeeze\.conv\.weight", name)
        is not None
        for name in tensors
    )
    if (width, blocks) == (_PAGE_WIDTH, _PAGE_BLOCKS) or blocks not in _DEPTHS:
        return ()
    return (
        f"model.backbone.width={width}",
        f"model.backbone.depth={_DEPTHS[blocks]}",
        f"model.neck.blocks={blocks}",
    )
