"""Random scenes with masks, and pycocotools run on their files as anyone would run it."""

import contextlib
import io
import json

import numpy as np
import torch
from direct_coco import CLASSES, IDS
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detkit.data.outline_decoding import decode_outlines
from detkit.evaluation.results_file import write_results
from detkit.structures import DetectionMasks, Detections, Target
from detkit.structures.index_outlines import OutlineColumns, OutlineEntry

SIZES = {1: (150, 210), 2: (230, 180), 3: (90, 120), 4: (200, 200)}  # image 3 is empty


def polygon(random, size):
    """A polygon of 5 to 11 corners around a centre, partly outside of the image."""
    radius = np.exp(random.uniform(np.log(5), np.log(90)))
    angles = np.sort(random.random(random.integers(5, 12)) * 2 * np.pi)
    reach = radius * random.uniform(0.6, 1, len(angles))
    centre = random.random(2) * size[::-1]
    points = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * reach[:, None]
    return points.round(2).ravel().tolist()


def segmentation(random, size, crowd):
    """One or two polygons; of a crowd, or now and then, runs of pixels with holes."""
    polygons = [polygon(random, size) for _ in range(random.choice([1, 1, 2]))]
    if not crowd and random.random() < 0.7:
        return polygons
    pixels = mask.decode(mask.merge(mask.frPyObjects(polygons, *size)))
    pixels &= random.random(size) > 0.1
    runs = mask.encode(np.asfortranarray(pixels))
    return {"size": list(size), "counts": runs["counts"].decode()}


def runs_of(parts, size):
    return mask.merge(mask.frPyObjects(parts, *size)) if isinstance(parts, list) else parts


def annotations(seed):
    """An annotation file's content with crowds and objects of all sizes."""
    random = np.random.default_rng(seed)
    rows = []
    for image_id in (1, 2, 4):
        size = SIZES[image_id]
        for _ in range(random.integers(2, 8)):
            crowd = int(random.random() < 0.15)
            parts = segmentation(random, size, crowd)
            runs = runs_of(parts, size)
            row = {"id": len(rows) + 1, "image_id": image_id, "segmentation": parts}
            row |= {"bbox": mask.toBbox(runs).tolist(), "area": float(mask.area(runs))}
            rows.append({**row, "category_id": IDS[random.integers(3)], "iscrowd": crowd})
    images = [{"id": i, "height": height, "width": w} for i, (height, w) in SIZES.items()]
    categories = [{"id": i, "name": name} for i, name in zip(IDS, CLASSES, strict=True)]
    return {"images": images, "annotations": rows, "categories": categories}


def target_of(content, image_id):
    """The objects of an image as detkit reads them."""
    rows = [row for row in content["annotations"] if row["image_id"] == image_id]
    columns = OutlineColumns()
    for parts in (row["segmentation"] for row in rows):
        if isinstance(parts, dict):
            columns.add(OutlineEntry([], parts["counts"].encode()))
        else:
            columns.add(OutlineEntry([np.array(p, np.float32).reshape(-1, 2) for p in parts]))
    index = IndexWithOutlines(columns.build())
    boxes = torch.tensor([row["bbox"] for row in rows]).reshape(-1, 4)
    return Target(
        torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1),
        torch.tensor([IDS.index(row["category_id"]) for row in rows], dtype=torch.int64),
        torch.tensor([bool(row["iscrowd"]) for row in rows], dtype=torch.bool),
        torch.tensor([row["area"] for row in rows]),
        decode_outlines(index, range(len(rows)), SIZES[image_id]),
    )


class IndexWithOutlines:
    """What `decode_outlines` reads of an index."""

    def __init__(self, outlines):
        self.outlines = outlines


def detections_of(target, size, random):
    """Maps of the objects' pixels on moved boxes, and some of nothing; many scores are equal."""
    objects = [n % len(target) for n in range(2 * len(target))] if len(target) else []
    boxes, maps, labels = [], [], []
    for position in objects:
        box = target.boxes[position].numpy() + random.normal(size=4) * random.choice([0, 3])
        pixels = torch.tensor(target.outlines.bitmap(position, size)).float()
        columns, rows = (torch.linspace(box[i], box[i + 2], 28) for i in (0, 1))
        grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1) / torch.tensor(
            size[::-1]
        )
        shown = torch.nn.functional.grid_sample(
            pixels[None, None], 2 * grid[None].float() - 1, align_corners=False
        )
        boxes.append(box)
        maps.append(0.9 * shown[0, 0] + 0.05)
        labels.append(int(target.labels[position]))
    for _ in range(6):
        corner = random.random(2) * size[::-1]
        boxes.append(np.concatenate([corner, corner + 5 + random.random(2) * 60]))
        maps.append(torch.tensor(random.random((28, 28))).float())
        labels.append(int(random.integers(4)))
    scores = torch.tensor((random.random(len(boxes)) * 10).round() / 10, dtype=torch.float32)
    order = scores.argsort(descending=True, stable=True)
    corners = torch.tensor(np.array(boxes), dtype=torch.float32)[order]
    limit = torch.tensor(size[::-1] * 2)
    found = Detections(
        corners.clamp(min=0).minimum(limit), scores[order], torch.tensor(labels)[order]
    )
    return found.with_masks(DetectionMasks(torch.stack(maps)[order], corners, size))


def scenes(content, seed):
    """(image id, detections, target) of each image of an annotation file."""
    random = np.random.default_rng(seed)
    targets = {image["id"]: target_of(content, image["id"]) for image in content["images"]}
    return [(i, detections_of(t, SIZES[i], random), t) for i, t in targets.items()]


def run_directly(folder, content, rows, *, with_boxes=False):
    """COCOeval for masks on the annotation file and on a results file.

    With boxes in the file, COCO.loadRes takes their areas to sort detections by size.
    """
    (folder / "annotations.json").write_text(json.dumps(content))
    write_results(folder / "results.json", [row[:2] for row in rows], IDS)
    results = json.loads((folder / "results.json").read_text())
    if not with_boxes:
        results = [{k: v for k, v in row.items() if k != "bbox"} for row in results]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "annotations.json"))
        evaluation = COCOeval(truth, truth.loadRes(results), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation
