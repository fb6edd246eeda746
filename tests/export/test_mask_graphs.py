"""Graphs of detectors with a mask head: Mask R-CNN with one stage and with three."""

import importlib.util
from pathlib import Path

import pytest
import torch
from operation_pages import batch_of, detector_of, small_words
from torch import nn

from detkit.api.checkpoint_config import compose_with
from detkit.api.export import Export
from detkit.contracts.exporters import tiny_graph
from detkit.errors import UserError
from detkit.export.graph import graph_module
from detkit.export.torch_export import TorchExporter
from detkit.inference.engines.opening import open_engine
from detkit.ops.selection import fixed_shapes
from detkit.runs.checkpoint import read_checkpoint
from detkit.structures import PaddedDetections

SCRIPT = Path(__file__).parents[2] / "scripts/export_table.py"
SMALL = [
    *small_words("mask_rcnn"),
    "model.roi_head.box_head.width=32",
    "model.proposer.postprocess.max_detections=50",
]
HEAD = "model.roi_head.postprocess"
SUPPRESSING = [  # less than eight detections remain
    f"{HEAD}.score_threshold=0",
    f"{HEAD}.max_candidates=8",
    f"{HEAD}.max_detections=8",
    f"{HEAD}.class_agnostic=true",
    f"{HEAD}.iou_threshold=0.1",
]


def test_a_program_with_masks_is_refused(tmp_path):
    with pytest.raises(UserError, match="use format=onnx or format=openvino"):
        TorchExporter().write(tiny_graph(nms=True, mask_size=28), tmp_path / "a.pt2")


class Detector(nn.Module):
    """Two detections with masks in any image."""

    def __init__(self, mask_head):
        super().__init__()
        self.mask_head = mask_head

    def detect(self, images):
        count = len(images)
        columns = torch.ones(count, 2, 4), torch.ones(count, 2), torch.zeros(count, 2).long()
        detections = PaddedDetections(*columns, torch.full((count,), 2))
        return (
            detections if self.mask_head is None else detections.with_masks(columns[0][..., None])
        )


def test_masks_are_the_last_output():
    head = nn.Identity()
    head.side = 1
    images = torch.zeros(3, 3, 8, 8)
    outputs = graph_module(Detector(head), nms=True)(images)
    assert len(outputs) == 5
    assert outputs[-1].shape == (3, 2, 4, 1)
    assert len(graph_module(Detector(None), nms=True)(images)) == 4


@pytest.mark.slow
def test_masks_are_those_of_a_prediction_and_zero_in_the_padding():
    graph = graph_module(detector_of("mask_rcnn", *SMALL, *SUPPRESSING), nms=True)
    images = batch_of(2, 64).images.float()
    with torch.no_grad():
        expected, (*_, counts, masks) = graph.detector.detect(images), graph(images)
        with fixed_shapes():  # as in a traced graph
            fixed = graph(images)[4]
    assert masks.shape == (2, 8, 28, 28)
    is_detection = torch.arange(8) < counts[:, None]
    assert 2 <= is_detection.sum() < 16
    assert masks[is_detection].min() > 0
    assert not masks[~is_detection].any()
    torch.testing.assert_close(masks, expected.masks, rtol=0, atol=0)
    torch.testing.assert_close(fixed, masks, rtol=0, atol=1e-5)


def random_checkpoint(roi_head, folder):
    spec = importlib.util.spec_from_file_location("export_table", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    words = [f"model/roi_head={roi_head}", *SMALL, f"{HEAD}.max_detections=20"]
    return read_checkpoint(script.random_checkpoint("mask_rcnn", folder, words)[0])


# pain 90
@pytest.mark.slow
@pytest.mark.parametrize(
    ("roi_head", "words", "name"),
    [
        ("standard", ["exporter=onnx"], "a.onnx"),
        ("standard", ["exporter=onnx", "precision=fp16"], "a.onnx"),
        ("standard", ["exporter=onnx", "batch=1", "size=256"], "a.onnx"),
        ("standard", ["exporter=openvino"], "a.xml"),
        ("cascade", ["exporter=onnx"], "a.onnx"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_the_certificate_compares_masks_and_mask_ap(roi_head, words, name, tmp_path):
    checkpoint = random_checkpoint(roi_head, tmp_path)
    words = [f"ckpt={checkpoint.path}", f"output={tmp_path / name}", *words]
    exported = Export(checkpoint, compose_with(checkpoint, "export", words), "a").run()
    certificate = exported.certificate
    assert certificate.passed, certificate.text()
    assert certificate.mask is not None
    assert certificate.mask < (0.05 if certificate.precision == "fp16" else 0.01)
    assert len(certificate.mask_ap) == 2
    assert "; mask AP ." in certificate.text()
    assert open_engine(exported.path, threads=1).model.mask_size == 28
