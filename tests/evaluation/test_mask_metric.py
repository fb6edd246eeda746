"""Mask AP: equal to pycocotools on files, over ranks, and where data or detector lack masks."""

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from direct_coco import TOLERANCE, expected_numbers, measured, require_equal
from mask_scenes import annotations, run_directly, scenes

from detkit.structures import DetectionMasks, Detections, Outlines, Target

backends = pytest.mark.parametrize("backend", list(TOLERANCE))
BOX = torch.tensor([[10.0, 10, 30, 30]])
WARNING = "detections have masks, but no object of these images has one"


def of_masks(numbers):
    return {n.removeprefix("mask_"): v for n, v in numbers.items() if n.startswith("mask_")}


# pain 22
@pytest.mark.parametrize("seed", range(3))
@backends
def test_equals_pycocotools_on_the_files(tmp_path, seed, backend):
    content = annotations(seed)
    rows = scenes(content, seed)
    expected = expected_numbers(run_directly(tmp_path, content, rows), content)
    assert 0.1 < expected["AP"] < 1
    numbers = measured(rows, backend=backend).compute()
    require_equal(of_masks(numbers), expected, TOLERANCE[backend])
    assert numbers["AP"] != numbers["mask_AP"]


def test_the_results_file_can_be_measured_as_it_is(tmp_path):
    content = annotations(0)
    rows = scenes(content, 0)
    expected = expected_numbers(run_directly(tmp_path, content, rows, with_boxes=True), content)
    numbers = of_masks(measured(rows).compute())
    all_sizes = [name for name in expected if not name.endswith(("small", "medium", "large"))]
    require_equal(*({n: x[n] for n in all_sizes} for x in (numbers, expected)), tolerance=1e-12)


def test_ranks_together_equal_one_process():
    rows = scenes(annotations(4), 4)
    first, second = measured(rows[::2]), measured(rows[1:])  # one image on both
    first.merge(pickle.loads(pickle.dumps([second.state()])))
    require_equal(first.compute(), measured(rows).compute())


def test_the_state_holds_runs_of_pixels_and_no_maps():
    rows = scenes(annotations(4), 4)
    maps = sum(row[1].masks.probabilities.nbytes for row in rows)
    assert len(pickle.dumps(measured(rows).state())) < maps / 5


def test_the_meanings_name_the_numbers_of_masks():
    metric = measured(scenes(annotations(0), 0))
    assert "mask_AP" not in metric.meanings
    names = [name for name in metric.compute() if "/" not in name]
    assert list(metric.meanings) == names


def one_image(pixels, outlines):
    """A detection of BOX with all of its pixels, or none, and an object there."""
    target = Target(BOX, torch.tensor([0]), torch.tensor([False]), None, outlines)
    found = Detections(BOX, torch.tensor([0.9]), torch.tensor([0]))
    masks = DetectionMasks(torch.full((1, 28, 28), float(pixels)), BOX, (40, 40))
    return found.with_masks(masks), target


RING = np.array([[10.0, 10], [30, 10], [30, 30], [10, 30]])


@pytest.mark.parametrize(("pixels", "value"), [(True, 1), (False, 0)])
def test_a_mask_on_its_object_is_worth_one_and_a_mask_without_pixels_nothing(pixels, value):
    numbers = measured([(1, *one_image(pixels, Outlines.of([[RING]])))]).compute()
    assert numbers["mask_AP50"] == pytest.approx(value, abs=1e-9)
    assert numbers["AP50"] == pytest.approx(1, abs=1e-9)


def test_an_object_without_a_mask_is_ignored():
    found, target = one_image(True, Outlines.of([[RING], []]))
    boxes = torch.cat([BOX, BOX + 200])
    target = Target(boxes, torch.zeros(2).long(), torch.zeros(2).bool(), None, target.outlines)
    numbers = measured([(1, found, target)]).compute()
    assert numbers["mask_AP50"] == pytest.approx(1, abs=1e-9)
    assert numbers["AP50"] == pytest.approx(0.5, abs=0.01)


def test_objects_of_an_undecodable_image_count_as_missed():
    found, target = one_image(True, Outlines.of([[RING]]))
    numbers = measured([(1, found, target), (2, Detections.empty(), target)]).compute()
    assert numbers["mask_AR100"] == pytest.approx(numbers["AR100"]) == pytest.approx(0.5, abs=0.1)


def test_detections_without_masks_have_no_mask_numbers(caplog):
    found, target = one_image(True, Outlines.of([[RING]]))
    numbers = measured([(1, found.with_masks(None), target)]).compute()
    assert not of_masks(numbers)
    assert not caplog.text


@pytest.mark.parametrize("outlines", [None, Outlines.of([[]])])
def test_data_without_masks_give_one_warning_and_the_numbers_of_boxes(caplog, outlines):
    metric = measured([(1, *one_image(True, outlines))])
    for _ in range(2):  # two validations
        numbers = metric.compute()
    assert not of_masks(numbers)
    assert numbers["AP50"] == pytest.approx(1, abs=1e-9)
    assert caplog.text.count(WARNING) == 1


def test_without_objects_the_numbers_are_nan(caplog):
    found, _ = one_image(True, None)
    target = replace(Target.empty(), outlines=Outlines.of([]))
    numbers = of_masks(measured([(1, found, target)]).compute())
    assert math.isnan(numbers["AP"])
    assert not caplog.text


def test_a_detection_that_is_not_finite_is_left_out(caplog):
    rows = scenes(annotations(0), 0)
    image_id, found, target = rows[0]
    broken = found.boxes.clone()
    broken[0] = math.nan
    changed = found._replace(boxes=broken).with_masks(found.masks)
    keep = torch.arange(len(broken)) > 0
    expected = measured([(image_id, found.select(keep), target), *rows[1:]]).compute()
    require_equal(measured([(image_id, changed, target), *rows[1:]]).compute(), expected)
    assert "not finite" in caplog.text
