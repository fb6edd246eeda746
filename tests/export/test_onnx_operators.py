"""The suppression of exported graphs, in onnxruntime."""

import pytest
import torch
from torch import nn

from detkit.box_coders import DistanceCoder
from detkit.heads.candidates import best_candidates
from detkit.ops import batched_class_nms, clip_boxes
from detkit.postprocess import NMS
from detkit.priors import Points
from detkit.structures import FeatureSpec

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
from detkit.export.onnx_operators import translations  # noqa: E402  # needs the packages

pytestmark = pytest.mark.slow
ANY = torch.export.Dim.DYNAMIC


def opened(module, inputs, axes, path):
    """A module with dynamic axes, in onnxruntime."""
    with torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            inputs,
            dynamo=True,
            dynamic_shapes=(axes,) * len(inputs),
            custom_translation_table=translations(),
            verbose=False,
        )
    program.save(path)
    session = onnxruntime.InferenceSession(path)
    names = [entry.name for entry in session.get_inputs()]

    def run(*tensors):
        arrays = (tensor.numpy() for tensor in tensors)
        outputs = session.run(None, dict(zip(names, arrays, strict=True)))
        return [torch.from_numpy(output) for output in outputs]

    return run


def scene(images, count, groups):
    generator = torch.Generator().manual_seed(count)
    corner = torch.rand(images, count, 2, generator=generator) * 200
    sides = 5 + torch.rand(images, count, 2, generator=generator) * 90
    scores = torch.rand(images, count, generator=generator)
    labels = torch.randint(groups, (images, count), generator=generator)
    return torch.cat([corner, corner + sides], dim=2), scores * (scores > 0.3), labels


class Suppress(nn.Module):
    def forward(self, boxes, scores, groups):
        return batched_class_nms(boxes, scores, groups, 0.5)


def test_each_group_of_each_image_is_suppressed_alone(tmp_path):
    run = opened(Suppress(), scene(2, 20, 3), {0: ANY, 1: ANY}, tmp_path / "nms.onnx")
    for images, count, groups in ((1, 300, 1), (2, 100, 5), (3, 300, 80)):
        inputs = scene(images, count, groups)
        (keep,) = run(*inputs)
        assert torch.equal(keep, Suppress()(*inputs))
        assert keep.any()


class SmallDetector(nn.Module):
    """One level: scores of three classes and distances at each cell, then top-k, decode, NMS."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 7, 16, stride=16)
        self.postprocess = NMS(score_threshold=0.5, max_candidates=100, max_detections=20)
        self.priors = Points(feature_specs=[FeatureSpec(7, 16)])

    def forward(self, images):
        maps = self.conv(images)
        rows = maps.permute(0, 2, 3, 1).flatten(1, 2) * 3
        priors = self.priors([tuple(maps.shape[-2:])], maps.device)
        best = best_candidates(rows[..., :3].sigmoid(), rows[..., 3:], priors, self.postprocess)
        boxes = DistanceCoder(activation="exp").decode(best.codes, best.priors)
        height, width = images.shape[-2:]
        limit = torch.stack([torch.scalar_tensor(height), torch.scalar_tensor(width)])
        return self.postprocess(clip_boxes(boxes, limit), best.scores, best.labels)


def test_a_detector_gives_the_detections_of_pytorch_at_any_batch_and_size(tmp_path):
    detector = SmallDetector()
    axes = {0: ANY, 2: ANY, 3: ANY}
    run = opened(detector, (torch.rand(2, 3, 128, 160),), axes, tmp_path / "detector.onnx")
    for images, height, width in ((1, 128, 128), (2, 160, 256), (3, 256, 176)):
        inputs = torch.rand(images, 3, height, width)
        boxes, scores, labels, counts = run(inputs)
        with torch.no_grad():
            expected = detector(inputs)
        assert torch.equal(labels, expected.labels)
        assert torch.equal(counts, expected.counts)
        torch.testing.assert_close(scores, expected.scores, rtol=0, atol=1e-6)
        torch.testing.assert_close(boxes, expected.boxes, rtol=0, atol=1e-3)
        assert counts.min() > 1
