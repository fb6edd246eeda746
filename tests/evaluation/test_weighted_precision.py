"""APs of weighted images equal COCO's numbers on images that occur as often."""

import numpy as np
import pytest
from direct_coco import CLASSES, IDS, measured, random_annotations, scenes
from mask_scenes import annotations as mask_annotations
from mask_scenes import scenes as mask_scenes

from detkit.evaluation.bootstrap import named_numbers
from detkit.evaluation.coco_matches import match_coco
from detkit.evaluation.coco_metric import CocoMetric
from detkit.evaluation.weighted_precision import WeightedPrecision, resampled_weights

TOLERANCE = 1e-12


def numbers_of(metric, weights, prefix=""):
    precision = WeightedPrecision(metric.matches()[prefix])
    values = precision(np.array([weights], dtype=np.int32))
    return {k: v[0] for k, v in named_numbers(values, metric.images.class_names).items()}


def repeated(rows, weights):
    """The rows with each image as often as its weight says, copies next to each other."""
    return [
        (100 * image_id + copy, detections, target)
        for (image_id, detections, target), weight in zip(rows, weights, strict=True)
        for copy in range(weight)
    ]


def distinct(rows, seed):
    """The same scenes without equal scores inside an image."""
    random = np.random.default_rng(seed)
    for image_id, detections, target in rows:
        ranks = random.permutation(len(detections.scores))[: len(detections.scores)]
        scores = detections.scores.new_tensor((ranks + 1) / (len(ranks) + 1))
        replaced = detections._replace(scores=scores).with_masks(detections.masks)
        yield image_id, replaced, target


def require_equal(numbers, expected):
    for name, value in numbers.items():
        assert value == pytest.approx(expected[name], abs=TOLERANCE, nan_ok=True), name


@pytest.mark.parametrize(("seed", "noise"), [(0, 20), (1, 20), (2, 250)])
def test_weights_of_one_give_coco_numbers(seed, noise):
    rows = scenes(random_annotations(seed), seed, noise=noise, classes=2)
    metric = measured(rows)
    require_equal(numbers_of(metric, [1] * len(rows)), metric.compute())


# pain 141
@pytest.mark.parametrize("seed", range(3))
def test_weights_equal_pycocotools_on_repeated_images(seed):
    rows = list(distinct(scenes(random_annotations(seed, images=7), seed, classes=3), seed))
    weights = np.random.default_rng(seed).multinomial(7, [1 / 7] * 7)
    expected = measured(repeated(rows, weights), backend="pycocotools").compute()
    require_equal(numbers_of(measured(rows), weights), expected)


def test_a_class_without_objects_in_a_sample_does_not_count():
    rows = list(distinct(scenes(random_annotations(1), 1), 1))
    metric = measured(rows)
    labels = [set(target.labels[~target.ignored].tolist()) for _, _, target in rows]
    weights = [2 if 0 not in of_image else 0 for of_image in labels]
    numbers = numbers_of(metric, weights)
    expected = measured(repeated(rows, weights), backend="pycocotools").compute()
    assert np.isnan(numbers["AP/cat"])
    require_equal(numbers, expected)


def test_masks_equal_pycocotools_on_repeated_images():
    rows = list(distinct(mask_scenes(mask_annotations(2), 2), 2))
    metric, copies = (CocoMetric(class_names=CLASSES, category_ids=IDS) for _ in range(2))
    weights = [2, 1, 3, 1]
    for target_metric, images in ((metric, rows), (copies, repeated(rows, weights))):
        for image_id, detections, target in images:
            target_metric.update([image_id], [detections], [target])
    expected = {k[5:]: v for k, v in copies.compute().items() if k.startswith("mask_")}
    require_equal(numbers_of(metric, weights, "mask_"), expected)


def test_chunks_do_not_change_the_values(monkeypatch):
    metric = measured(scenes(random_annotations(2), 2))
    precision = WeightedPrecision(metric.matches()[""])
    (weights,) = resampled_weights(6, 9, seed=0)
    whole = precision(weights)
    monkeypatch.setattr("detkit.evaluation.weighted_precision._CHUNK", 40)
    np.testing.assert_allclose(precision(weights), whole, rtol=1e-12)
    chunks = list(resampled_weights(6, 9, seed=0))
    assert [len(chunk) for chunk in chunks] == [6, 3]
    np.testing.assert_array_equal(np.concatenate(chunks), weights)


def test_each_sample_draws_as_many_images_as_there_are():
    (weights,) = resampled_weights(50, 20, seed=3)
    assert (weights.sum(axis=1) == 50).all()
    assert len(np.unique(weights, axis=0)) == 20


def test_without_detections_the_precision_is_zero():
    rows = [(i, d.select(d.scores > 2), t) for i, d, t in scenes(random_annotations(0), 0)]
    matches = match_coco(measured(rows).images.by_id(), CLASSES, 100)
    values = WeightedPrecision(matches)(np.ones((1, 6), np.int32))
    assert values[0, 0, 0] == 0
    assert np.isnan(values[0, 3]).all()
