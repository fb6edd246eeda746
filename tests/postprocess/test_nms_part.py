import torch
from detecting import detect

from detkit.postprocess import NMS

# The second overlaps the first with IoU 0.5.
BOXES = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0], [20.0, 0.0, 30.0, 10.0]])
SCORES = torch.tensor([0.6, 0.9, 0.7])


def test_the_worse_of_two_boxes_of_a_class_is_dropped():
    found = detect(NMS(iou_threshold=0.4), BOXES, SCORES, torch.tensor([3, 3, 3]))
    assert torch.equal(found.boxes, BOXES[[1, 2]])
    assert torch.equal(found.scores, SCORES[[1, 2]])
    assert found.labels.tolist() == [3, 3]


def test_classes_are_suppressed_apart():
    found = detect(NMS(iou_threshold=0.4), BOXES, SCORES, torch.tensor([3, 4, 3]))
    assert found.scores.tolist() == SCORES[[1, 2, 0]].tolist()
    assert found.labels.tolist() == [4, 3, 3]


def test_an_overlap_at_the_threshold_is_kept():
    labels = torch.zeros(3).long()
    assert len(detect(NMS(iou_threshold=0.5), BOXES, SCORES, labels).scores) == 3
    assert len(detect(NMS(iou_threshold=0.49), BOXES, SCORES, labels).scores) == 2


def test_the_best_detections_of_all_classes_are_kept():
    found = detect(NMS(max_detections=2), BOXES, SCORES, torch.tensor([0, 1, 2]))
    assert found.labels.tolist() == [1, 2]
