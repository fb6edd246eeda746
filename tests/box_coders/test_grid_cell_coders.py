"""YOLO's codes by hand: a cell of 8 pixels around (12, 20) with an anchor of 10 x 20."""

import math

import pytest
import torch
from torch.testing import assert_close

from detkit.box_coders.grid_cell import YOLOv3Coder, YOLOv4Coder, YOLOv5Coder
from detkit.box_coders.yolov1 import YOLOv1Coder
from detkit.errors import UserError
from detkit.structures import Priors

PRIOR = Priors(torch.tensor([[7.0, 10.0, 17.0, 30.0]]), torch.tensor([8.0]), torch.tensor([0]))
LOGIT = math.log(0.75 / 0.25)  # whose sigmoid is 3/4


def decoded(coder, *codes):
    """Centre and sides."""
    box = coder.decode(torch.tensor([codes]), PRIOR)[0]
    return [*((box[:2] + box[2:]) / 2).tolist(), *(box[2:] - box[:2]).tolist()]


@pytest.mark.parametrize("coder", [YOLOv3Coder(), YOLOv4Coder(), YOLOv5Coder()])
def test_codes_of_zero_are_the_anchor(coder):
    assert_close(coder.decode(torch.zeros(1, 4), PRIOR), PRIOR.boxes)
    assert_close(coder.encode(PRIOR.boxes, PRIOR), torch.zeros(1, 4))


def test_yolov3_by_hand():
    # x: the cell begins at 8, 3/4 of 8 on: 14. Sides: 10 e^ln 2, 20 e^-ln 4.
    found = decoded(YOLOv3Coder(), LOGIT, 0.0, math.log(2), -math.log(4))
    assert found == pytest.approx([14, 20, 20, 5])


def test_yolov4_by_hand():
    # The sigmoid is 1.2 cells wide: 1/4 from the middle is 1.2 / 4 * 8 = 2.4 pixels.
    found = decoded(YOLOv4Coder(scale=1.2), LOGIT, -LOGIT, 0.0, 0.0)
    assert found == pytest.approx([12 + 2.4, 20 - 2.4, 10, 20])


def test_yolov4_takes_a_scale_for_each_level():
    priors = Priors(PRIOR.boxes.repeat(2, 1), PRIOR.stride.repeat(2), torch.tensor([0, 1]))
    coder = YOLOv4Coder(scale=(1.2, 1.0), per_cell=[3, 3])
    codes = torch.tensor([[LOGIT, 0.0, 0.0, 0.0]] * 2)
    boxes = coder.decode(codes, priors)
    assert boxes[:, 0].tolist() == pytest.approx([7 + 2.4, 7 + 2.0])
    assert_close(coder.encode(boxes, priors), codes)


def test_scales_of_other_levels_are_refused():
    with pytest.raises(UserError, match=r"`scale` has 2 values, but the head has 3 levels"):
        YOLOv4Coder(scale=(1.2, 1.1), per_cell=[3, 3, 3])


def test_yolov5_by_hand():
    # x: 2 * 3/4 - 0.5 = 1 cell from the corner at 8. Sides: (2 * 3/4)^2 and (2 * 1/4)^2 anchors.
    found = decoded(YOLOv5Coder(), LOGIT, 0.0, LOGIT, -LOGIT)
    assert found == pytest.approx([16, 20, 10 * 2.25, 20 * 0.25])


def test_another_largest_ratio_of_yolov5_by_hand():
    # 9 * (3/4)^2 anchors.
    found = decoded(YOLOv5Coder(largest_ratio=9.0), 0.0, 0.0, LOGIT, LOGIT)
    assert found == pytest.approx([12, 20, 50.625, 101.25])


@pytest.mark.parametrize(("coder", "reach"), [(YOLOv3Coder(), 4), (YOLOv4Coder(scale=1.2), 4.8)])
def test_the_centre_stays_in_reach_of_the_cell(coder, reach):
    assert decoded(coder, 50.0, -50.0, 0.0, 0.0)[:2] == pytest.approx([12 + reach, 20 - reach])


@pytest.mark.parametrize("coder", [YOLOv3Coder(), YOLOv4Coder(), YOLOv5Coder()])
def test_what_is_out_of_reach_has_finite_codes(coder):
    far = torch.tensor([[900.0, 900.0, 1900.0, 1900.0], [8.0, 16.0, 8.0, 16.0]])
    codes = coder.encode(far, PRIOR)
    assert codes.isfinite().all()
    assert codes[0, :2].tolist() == pytest.approx([math.log(99)] * 2)


@pytest.mark.parametrize("coder", [YOLOv3Coder(), YOLOv4Coder(), YOLOv5Coder()])
# pain 13
def test_huge_codes_decode_to_finite_boxes_with_finite_gradients(coder):
    codes = torch.tensor([[1e4, -1e4, 1e4, -1e4]], requires_grad=True)
    box = coder.decode(codes, PRIOR)
    box.sum().backward()
    assert box.isfinite().all()
    assert codes.grad.isfinite().all()


def test_yolov1_by_hand():
    # The cell starts at (8, 16). Sides: 0.5^2 of 200 pixels and 0.2^2 of 100.
    coder = YOLOv1Coder(image_size=(100, 200))
    assert decoded(coder, 0.25, 1.5, -0.5, 0.2) == pytest.approx([10, 28, 50, 4])
    assert_close(coder.encode(PRIOR.boxes, PRIOR), torch.tensor([[0.5, 0.5, 0.05**0.5, 0.2**0.5]]))
