import pytest
import torch
from torchvision.ops import nms

from detkit.ops import batched_class_nms
from detkit.ops import nms as module

# The second overlaps the first with IoU 0.8, the third with IoU 0.5.
BOXES = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 8.0], [0.0, 0.0, 10.0, 5.0]])
SCORES = torch.tensor([0.5, 0.9, 0.7])


def kept(labels, threshold, scores=SCORES):
    keep = batched_class_nms(BOXES[None], scores[None], torch.tensor([labels]), threshold)
    return keep[0].nonzero().flatten().tolist()


def test_the_best_drops_what_overlaps_it_more_than_the_threshold():
    assert kept([0, 0, 0], 0.6) == [1]
    assert kept([0, 0, 0], 0.7) == [1, 2]


def test_classes_do_not_touch_each_other():
    assert kept([0, 1, 2], 0.1) == [0, 1, 2]


def test_boxes_without_a_score_do_not_exist():
    assert kept([0, 0, 0], 0.6, torch.tensor([0.5, 0, 0])) == [0]
    assert kept([0, 0, 0], 0.6, torch.zeros(3)) == []
    many = torch.zeros(1, 5000)
    assert not batched_class_nms(torch.rand(1, 5000, 4), many, many.long(), 0.5).any()


def test_nothing_in_nothing_out():
    nothing = batched_class_nms(
        torch.zeros(2, 0, 4), torch.zeros(2, 0), torch.zeros(2, 0).long(), 0.5
    )
    assert nothing.shape == (2, 0)
    assert nothing.dtype == torch.bool


def random_boxes(seed, images=4, count=150, groups=7):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(images, count, 2, generator=generator) * 200
    boxes = torch.cat(
        [corner, corner + 5 + torch.rand(images, count, 2, generator=generator) * 90], 2
    )
    scores = torch.rand(images, count, generator=generator)
    scores *= torch.rand(images, count, generator=generator) > torch.linspace(0, 1, images)[:, None]
    return boxes, scores, torch.randint(groups, (images, count), generator=generator)


@pytest.mark.parametrize("most", [1, 40, 200, 10**6])
def test_each_group_of_each_image_is_suppressed_alone(most, monkeypatch):
    monkeypatch.setattr(module, "_MOST_ON_CPU", most)
    boxes, scores, groups = random_boxes(seed=most)
    keep = batched_class_nms(boxes, scores, groups, 0.4)
    expected = torch.zeros_like(keep)
    for image in range(4):
        for group in range(7):
            rows = ((groups[image] == group) & (scores[image] > 0)).nonzero().flatten()
            expected[image, rows[nms(boxes[image, rows], scores[image, rows], 0.4)]] = True
    assert torch.equal(keep, expected)
    assert 50 < keep.sum() < (scores > 0).sum()


def test_boxes_of_a_broken_network_hide_no_others():
    boxes = torch.cat([BOXES, torch.full((1, 4), float("nan"))])[None]
    scores, groups = torch.cat([SCORES, torch.tensor([0.95])])[None], torch.zeros(1, 4).long()
    assert batched_class_nms(boxes, scores, groups, 0.6)[0, 1]


def test_a_graph_has_a_single_operator():
    class Suppress(torch.nn.Module):
        def forward(self, boxes, scores, groups):
            return batched_class_nms(boxes, scores, groups, 0.4)

    inputs = random_boxes(seed=0)
    images, count = torch.export.Dim("images"), torch.export.Dim("count")
    shapes = ({0: images, 1: count},) * 3
    program = torch.export.export(Suppress(), inputs, dynamic_shapes=shapes)
    calls = [str(n.target) for n in program.graph.nodes if n.op == "call_function"]
    assert calls == ["detkit.batched_class_nms.default"]
    others = random_boxes(seed=1, images=3, count=70)
    assert torch.equal(program.module()(*others), batched_class_nms(*others, 0.4))
