"""Random scenes, and pycocotools run on files as anyone would run it."""

import contextlib
import io
import json
import math

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detkit.evaluation.coco_metric import CocoMetric
from detkit.evaluation.results_file import write_results
from detkit.structures import Detections, Target

NAMES = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large"),
)
CLASSES = ["cat", "dog", "emu", "fox"]  # no object is a fox
IDS = [7, 3, 90, 12]  # not in order: pycocotools sorts categories by id


def random_annotations(seed, images=6, most=12, decimals=0):
    """An annotation file's content: crowds, areas other than the boxes', an empty image."""
    random = np.random.default_rng(seed)
    rows = []
    for image_id in range(2, images + 1):  # image 1 is empty
        for _ in range(random.integers(1, most)):
            side = np.exp(random.uniform(np.log(6), np.log(200), 2))
            corner = random.uniform(0, 300, 2)
            box = [round(float(value), decimals) for value in (*corner, *side)]
            area = round(box[2] * box[3] * random.uniform(0.4, 1), 2)
            row = {"id": len(rows) + 1, "image_id": image_id, "bbox": box, "area": area}
            crowd = int(random.random() < 0.15)
            rows.append({**row, "category_id": IDS[random.integers(3)], "iscrowd": crowd})
    return {
        "images": [{"id": i, "file_name": f"{i}.png"} for i in range(1, images + 1)],
        "annotations": rows,
        "categories": [{"id": i, "name": n} for i, n in zip(IDS, CLASSES, strict=True)],
    }


def xyxy(rows):
    boxes = np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def target_of(content, image_id):
    rows = [row for row in content["annotations"] if row["image_id"] == image_id]
    ids = [category["id"] for category in content["categories"]]
    return Target(
        boxes=torch.tensor(xyxy(rows), dtype=torch.float32),
        labels=torch.tensor([ids.index(row["category_id"]) for row in rows], dtype=torch.int64),
        ignored=torch.tensor([bool(row["iscrowd"]) for row in rows], dtype=torch.bool),
        areas=torch.tensor([row["area"] for row in rows], dtype=torch.float32),
    )


def random_detections(target, generator, copies=2, noise=20, classes=4):
    """Moved copies of the objects and some others, with few different scores."""
    boxes = target.boxes.repeat(copies, 1)
    boxes = boxes + torch.randn(boxes.shape, generator=generator) * 4
    corners = torch.rand((noise, 2), generator=generator) * 300
    sides = torch.rand((noise, 2), generator=generator) * 150
    boxes = torch.cat([boxes, torch.cat([corners, corners + sides], dim=1)])
    boxes = torch.cat([boxes[:, :2].minimum(boxes[:, 2:]), boxes[:, :2].maximum(boxes[:, 2:])], 1)
    labels = torch.cat(
        [target.labels.repeat(copies), torch.randint(classes, (noise,), generator=generator)]
    )
    scores = (torch.rand(len(boxes), generator=generator) * 20).round() / 20  # many are equal
    order = scores.argsort(descending=True, stable=True)
    return Detections(boxes[order], scores[order], labels[order])


def scenes(content, seed=0, **changes):
    """(image id, detections, target) of each image of an annotation file."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for image in content["images"]:
        target = target_of(content, image["id"])
        found.append((image["id"], random_detections(target, generator, **changes), target))
    return found


def measured(found, names=CLASSES, ids=IDS, **arguments):
    metric = CocoMetric(class_names=names, category_ids=ids, **arguments)
    for image_id, detections, target in found:
        metric.update([image_id], [detections], [target])
    return metric


def run_directly(folder, content, found, limits=(1, 10, 100)):
    """COCOeval on the annotation file and on a results file."""
    ids = [category["id"] for category in content["categories"]]
    (folder / "annotations.json").write_text(json.dumps(content))
    write_results(folder / "results.json", [row[:2] for row in found], ids)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "annotations.json"))
        evaluation = COCOeval(truth, truth.loadRes(str(folder / "results.json")), "bbox")
        evaluation.params.maxDets = list(limits)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def per_class(evaluation, content):
    """AP and AP50 of each class, as people read them from `eval["precision"]`."""
    numbers = {}
    for column, category_id in enumerate(sorted(evaluation.params.catIds)):
        name = {c["id"]: c["name"] for c in content["categories"]}[category_id]
        precision = evaluation.eval["precision"][:, :, column, 0, 2]
        for kind, values in (("AP", precision), ("AP50", precision[0])):
            known = values[values > -1]
            numbers[f"{kind}/{name}"] = np.mean(known) if len(known) else math.nan
    return numbers


def expected_numbers(evaluation, content):
    summary = zip(NAMES, evaluation.stats.tolist(), strict=True)
    summary = {name: math.nan if value == -1 else value for name, value in summary}
    return {**summary, **per_class(evaluation, content)}


TOLERANCE = {"pycocotools": 0.0, "faster": 1e-12}  # the issue asks for 1e-9


def require_equal(numbers, expected, tolerance=0.0):
    """NaN is equal to NaN; without a tolerance bit-equal."""
    assert set(numbers) == set(expected)
    different = {
        name: (value, expected[name])
        for name, value in numbers.items()
        if not abs(value - expected[name]) <= tolerance
        and not (math.isnan(value) and math.isnan(expected[name]))
    }
    assert different == {}
