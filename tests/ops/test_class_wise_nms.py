import torch

from detkit.ops import class_wise_nms

# The second overlaps the first with IoU 0.8, the third with IoU 0.5.
BOXES = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 8.0], [0.0, 0.0, 10.0, 5.0]])
SCORES = torch.tensor([0.5, 0.9, 0.7])


def kept(labels, threshold):
    return class_wise_nms(BOXES, SCORES, torch.tensor(labels), threshold).tolist()


def test_the_best_comes_first_and_drops_what_overlaps_it_more_than_the_threshold():
    assert kept([0, 0, 0], 0.6) == [1]
    assert kept([0, 0, 0], 0.7) == [1, 2]


def test_classes_do_not_touch_each_other():
    assert kept([0, 1, 2], 0.1) == [1, 2, 0]


def test_nothing_in_nothing_out():
    nothing = class_wise_nms(BOXES[:0], SCORES[:0], torch.zeros(0).long(), 0.5)
    assert nothing.shape == (0,)
    assert nothing.dtype == torch.int64
