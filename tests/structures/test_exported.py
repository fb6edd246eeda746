import json
import subprocess
import sys
from dataclasses import replace

import pytest

from detkit.errors import UserError
from detkit.structures.exported import ExportedModel

MODEL = ExportedModel(
    class_names=("cat", "dog"),
    category_ids=(1, 18),
    resize={"resize": {"name": "letterbox", "height": 64, "width": 96}},
    padding=(123.675, 116.28, 103.53),
    score_threshold=0.4,
    page="fcos",
    size=(64, 96),
    postprocess={"name": "nms", "iou_threshold": 0.6},
)


def test_the_metadata_survives_json():
    raw = replace(MODEL, size=None, batch=2, nms=False, postprocess=None)
    for model in (
        MODEL,
        raw,
        replace(MODEL, mask_size=28),
        replace(MODEL, class_thresholds={"cat": 0.2}),
    ):
        assert ExportedModel.from_json(model.to_json(), "a.onnx") == model


def test_masks_are_the_last_output_of_graphs_that_have_them():
    padded = ("boxes", "scores", "labels", "counts")
    assert MODEL.outputs == padded
    assert replace(MODEL, mask_size=28).outputs == (*padded, "masks")
    assert replace(MODEL, nms=False).outputs == ("boxes", "scores")


def test_metadata_of_a_newer_detkit_is_refused():
    text = MODEL.to_json().replace('"format": 1', '"format": 9')
    with pytest.raises(UserError, match=r"a\.onnx: .* has format 9, this detkit reads format 1"):
        ExportedModel.from_json(text, "a.onnx")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("class_names", []),
        ("category_ids", [1]),
        ("padding", [1]),
        ("size", [64]),
        ("stride", 0),
        ("mask_size", 0),
        ("resize", {"resize": "letterbox"}),
        ("colour", "blue"),
        ("class_thresholds", [0.2, 0.3]),
    ],
)
def test_damaged_metadata_is_refused(key, value):
    values = json.loads(MODEL.to_json()) | {key: value}
    with pytest.raises(UserError, match=r"a\.onnx: its detkit metadata is damaged"):
        ExportedModel.from_json(json.dumps(values), "a.onnx")


@pytest.mark.parametrize("text", ["{", "[]", "{}", "3"])
def test_text_that_is_no_metadata_is_refused(text):
    with pytest.raises(UserError, match="no JSON object with a format number"):
        ExportedModel.from_json(text, "a.onnx")


@pytest.mark.slow
def test_the_metadata_imports_no_torch():
    program = "import detkit.structures.exported, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
