"""Contract of every registered post-processor."""

import json
from pathlib import Path

import pytest
import suppression_references as reference
import torch
from contract_cases import each_promise
from detecting import detect, detect_together
from torch.testing import assert_close

from detkit import registry
from detkit.ops.selection import fixed_shapes


@each_promise("postprocess")
def test_a_post_processor_keeps_its_contract(case):
    case()


@pytest.fixture(params=registry.names("postprocess"))
def postprocess(request):
    return registry.get("postprocess", request.param)()


def candidates(count):
    generator = torch.Generator().manual_seed(0)
    corner, sides = torch.rand(2, count, 2, generator=generator)
    boxes = torch.cat([corner * 50, corner * 50 + 5 + sides * 30], dim=1)
    scores = torch.rand(count, generator=generator)
    return boxes, scores, torch.arange(count) % 3


def test_no_more_detections_than_asked_for(postprocess):
    boxes, scores, _ = candidates(3000)
    labels = torch.arange(3000) % 80
    found = detect(postprocess, boxes * 20, scores.clamp(min=0.1), labels)
    assert len(found.scores) == postprocess.max_detections
    assert (found.scores.diff() <= 0).all()


def test_many_equal_candidates(postprocess):
    box = torch.tensor([[3.0, 4.0, 13.0, 24.0]])
    found = detect(postprocess, box.repeat(50, 1), torch.full((50,), 0.5), torch.zeros(50).long())
    assert found.scores[0] == 0.5
    assert_close(found.boxes, box.expand(len(found.boxes), 4))


def test_candidates_without_area(postprocess):
    boxes = torch.tensor([[3.0, 4.0, 3.0, 4.0], [3.0, 4.0, 3.0, 9.0], [3.0, 4.0, 3.0, 4.0]])
    found = detect(postprocess, boxes, torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3).long())
    assert found.scores[0] == 0.9
    assert all(field.isfinite().all() for field in found)


# Of an earlier version, which took the images of a batch in turn.
RECORDED = json.loads((Path(__file__).parent / "recorded_detections.json").read_text())


@pytest.mark.parametrize(
    "case", RECORDED, ids=lambda case: "-".join([case["part"], *case["arguments"]])
)
def test_a_batch_has_the_detections_recorded_image_by_image(case):
    part = registry.get("postprocess", case["part"])(max_detections=8, **case["arguments"])
    images = [
        reference.random_candidates(count, seed, torch.float32)
        for seed, count in enumerate((40, 0, 7))
    ]
    for found, rows in zip(detect_together(part, images), case["images"], strict=True):
        expected = torch.tensor(rows).reshape(-1, 6)
        assert found.labels.tolist() == expected[:, 5].tolist()
        assert_close(found.scores, expected[:, 4], rtol=0, atol=2e-6)
        assert_close(found.boxes, expected[:, :4], rtol=0, atol=2e-4)


@pytest.mark.parametrize("name", ["nms", "matrix_nms", "none"])
def test_shapes_that_do_not_depend_on_scores_give_the_same_detections(name):
    part = registry.get("postprocess", name)()
    images = [candidates(count) for count in (40, 3, 0)]
    expected = detect_together(part, images)
    with fixed_shapes():
        for found, same in zip(detect_together(part, images), expected, strict=True):
            assert_close(found, same)
