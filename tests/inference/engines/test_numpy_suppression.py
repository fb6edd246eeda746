"""Post-processing in NumPy equals the run's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from exported_files import MODEL

from detkit.errors import UserError
from detkit.inference.engines.contract import RawArrays
from detkit.inference.engines.suppression import require_numpy_postprocess, suppress
from detkit.postprocess.nms import NMS

NODE = {**MODEL.postprocess, "max_detections": 30}


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("crowd", [20, 400])
# pain 88
def test_detections_equal_those_of_the_part(agnostic, crowd):
    random = np.random.default_rng(crowd)
    corners = random.uniform(0, 100, (crowd, 2))
    boxes = np.hstack([corners, corners + random.uniform(0, 60, (crowd, 2))]).astype(np.float32)
    scores = random.uniform(0, 1, (crowd, 3)).astype(np.float32)
    node = {**NODE, "class_agnostic": agnostic}
    (result,) = suppress(RawArrays(boxes[None], scores[None]), node)
    part = NMS(**{key: value for key, value in node.items() if key != "name"})
    prior, label = torch.from_numpy(scores > node["score_threshold"]).nonzero(as_tuple=True)
    candidates = torch.from_numpy(boxes)[prior], torch.from_numpy(scores)[prior, label], label
    (expected,) = part(*(values[None] for values in candidates)).split()
    for values, others in zip(result, expected, strict=True):
        np.testing.assert_array_equal(values, others.numpy())


def test_no_candidate_gives_no_detection():
    raw = RawArrays(np.zeros((1, 5, 4), np.float32), np.zeros((1, 5, 2), np.float32))
    (result,) = suppress(raw, NODE)
    assert [array.shape for array in result] == [(0, 4), (0,), (0,)]


def test_boxes_without_area_do_not_suppress_each_other():
    raw = RawArrays(np.ones((1, 3, 4), np.float32), np.full((1, 3, 1), 0.5, np.float32))
    assert len(suppress(raw, NODE)[0].scores) == 3


@pytest.mark.parametrize("node", [None, {"name": "soft_nms"}, {"name": "nms"}])
# pain 88
def test_another_post_processing_is_refused(node):
    model = replace(MODEL, nms=False, postprocess=node)
    with pytest.raises(UserError, match=r"only in PyTorch: export the file with nms=true"):
        require_numpy_postprocess(model, "model.onnx")
    require_numpy_postprocess(replace(model, nms=True), "model.onnx")
