"""Tiny exported files, whose detections are known.

The graph returns two detections for each image: the whole image with the mean brightness as its
score, class 0, and its top left quarter with half of that score, class 1. With masks, the first
mask fills the left half of its box, the second one its box.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from detkit.structures.exported import METADATA_KEY, ExportedModel

MODEL = ExportedModel(
    class_names=("cat", "dog"),
    category_ids=(7, 9),
    resize={},
    padding=(0.0, 0.0, 0.0),
    score_threshold=0.1,
    postprocess={
        "name": "nms",
        "score_threshold": 0.05,
        "max_candidates": 1000,
        "iou_threshold": 0.5,
        "max_detections": 3,
        "class_agnostic": False,
    },
)
_SHARES = np.array([[1, 0.5, 0]], np.float32)  # of the brightness, for each detection
_CORNERS = np.array([[[1] * 4, [0.5] * 4, [0] * 4]], np.float32)  # of the whole image
_SCORES = ("scores", 1, ["B", 3])
_PADDED = (("boxes", 1, ["B", 3, 4]), _SCORES, ("labels", 7, ["B", 3]), ("counts", 7, ["B"]))
_RAW = (("boxes", 1, ["B", 3, 4]), ("scores", 1, ["B", 3, 2]))  # names, ONNX types, shapes
_MASKS = (("masks", 1, ["B", 3, "S", "S"]),)


def write_onnx(path: Path, model: ExportedModel = MODEL, **changes: Any) -> Path:
    """Write such a file.

    Args:
        path: The file.
        model: Its metadata; size, batch, nms and mask_size shape the graph too.
        changes: `channels` (3), `opset` (18), `metadata` (a replacement, None for none).
    """
    import onnx
    from onnx import helper

    height, width = model.size or ("H", "W")
    shape = [model.batch or "B", changes.get("channels", 3), height, width]
    side = model.mask_size
    outputs = [*_PADDED, *_MASKS] if side else _PADDED if model.nms else _RAW
    infos = [helper.make_tensor_value_info(*output) for output in outputs]
    images = helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, shape)
    nodes, constants = _graph(model.nms, side or 0)
    graph = helper.make_graph(nodes, "tiny", [images], infos, constants)
    opset = helper.make_opsetid("", changes.get("opset", 18))
    written = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    metadata = changes.get("metadata", {METADATA_KEY: model.to_json()})
    helper.set_model_props(written, metadata or {})
    path.write_bytes(written.SerializeToString())
    return path


def write_raw(path: Path) -> Path:
    """Write such a file without post-processing: class 1 scores half as much as class 0."""
    return write_onnx(path, replace(MODEL, nms=False))


def _graph(nms: bool, side: int) -> tuple[list[Any], list[Any]]:
    from onnx import helper, numpy_helper

    maps = np.zeros((1, 3, side, side), np.float32)
    maps[0, 0, :, : side // 2] = maps[0, 1] = 1
    constants = {
        "axes": np.array([1, 2, 3]),
        "one": np.array([1]),
        "white": np.array([255], np.float32),
        "shares": _SHARES,
        "corners": _CORNERS,
        "swapped": np.array([3, 2, 3, 2]),
        "left_top": np.array([0, 0, 1, 1], np.float32),
        "names": np.array([[0, 1, 0]]),
        "two": np.array([2]),
        "last": np.array([2]),
        "class_shares": np.array([1, 0.5], np.float32),
        "maps": maps,
        "side": np.array([side]),
    }
    steps = [
        ("ReduceMean", ["images", "axes"], "sum", {"keepdims": 0}),
        ("Div", ["sum", "white"], "brightness", {}),
        ("Unsqueeze", ["brightness", "one"], "column", {}),
        ("Mul", ["column", "shares"], "scores" if nms else "objects", {}),
        ("Shape", ["images"], "shape", {}),
        ("Gather", ["shape", "swapped"], "sides", {}),
        ("Cast", ["sides"], "lengths", {"to": 1}),
        ("Mul", ["lengths", "left_top"], "whole", {}),
        ("Mul", ["corners", "whole"], "each", {}),
        ("Gather", ["shape", "zero"], "batch", {}),
        ("Concat", ["batch", "three", "four"], "box_shape", {"axis": 0}),
        ("Expand", ["each", "box_shape"], "boxes", {}),
    ]
    if nms:
        steps += [
            ("Concat", ["batch", "three"], "row_shape", {"axis": 0}),
            ("Expand", ["names", "row_shape"], "labels", {}),
            ("Expand", ["two", "batch"], "counts", {}),
        ]
        steps += [
            ("Concat", ["batch", "three", "side", "side"], "map_shape", {"axis": 0}),
            ("Expand", ["maps", "map_shape"], "masks", {}),
        ][: 2 * (side > 0)]
    else:
        steps += [
            ("Unsqueeze", ["objects", "last"], "each_object", {}),
            ("Mul", ["each_object", "class_shares"], "scores", {}),
        ]
    constants |= {"zero": np.array([0]), "three": np.array([3]), "four": np.array([4])}
    nodes = [helper.make_node(kind, inputs, [name], **kw) for kind, inputs, name, kw in steps]
    return nodes, [numpy_helper.from_array(value, name) for name, value in constants.items()]


def write_model_and_data(folder: Path) -> Path:
    """`model.onnx` in a folder, and the images of `write_data` in its sub-folder `data`."""
    write_onnx(folder / "model.onnx")
    (folder / "data").mkdir()
    write_data(folder / "data")
    return folder


def write_data(folder: Path, *, masks: bool = False) -> Path:
    """Two white images, 40 x 30 and 24 x 24, each with a cat that fills it (COCO).

    With masks, the cat fills its left half.
    """
    sizes = {1: (40, 30), 2: (24, 24)}
    for image, size in sizes.items():
        Image.new("RGB", size, "white").save(folder / f"{image}.png")
    content = {
        "images": [
            {"id": image, "file_name": f"{image}.png", "width": width, "height": height}
            for image, (width, height) in sizes.items()
        ],
        "annotations": [
            {"id": image, "image_id": image, "category_id": 1, "bbox": [0, 0, *size]}
            | ({"segmentation": _left_half(size)} if masks else {})
            for image, size in sizes.items()
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


def _left_half(size: tuple[int, int]) -> list[list[int]]:
    x, y = size[0] // 2, size[1]
    return [[0, 0, x, 0, x, y, 0, y]]
