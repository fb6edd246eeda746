import pytest
import torch

from detkit import ops
from detkit.errors import UserError
from detkit.ops import require_padded
from detkit.postprocess import NMS
from detkit.structures import Detections


class OfOneImage:
    def __call__(self, boxes, scores, labels) -> Detections:
        return Detections(boxes, scores, labels)


class Unannotated:
    def __call__(self, boxes, scores, labels):
        return Detections(boxes, scores, labels)


def test_a_post_processor_of_an_earlier_version_is_told_what_to_change():
    with pytest.raises(UserError, match=r"OfOneImage .* of one image.*return PaddedDetections"):
        require_padded(OfOneImage())


@pytest.mark.parametrize("part", [NMS(), Unannotated(), torch.nn.Identity()])
def test_others_are_accepted(part):
    require_padded(part)


def test_the_function_that_earlier_plugins_import_names_its_successor():
    with pytest.raises(ImportError, match="use batched_class_nms"):
        from detkit.ops import class_wise_nms  # noqa: F401  # gone
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = ops.nonsense
