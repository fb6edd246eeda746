"""MMDetection's detectors, saved and imported by the command, give MMDetection's values."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from measured_differences import assert_equal_within
from mmdet_models import mmdet_model, samples, samples_with_objects
from pictures import rendered_batch, squared
from torchvision.ops import clip_boxes_to_image

from detkit import assembly
from detkit.assembly import Classes
from detkit.cli.main import main
from detkit.runs.checkpoint import load_weights, read_checkpoint

pytestmark = pytest.mark.slow
# MMDetection's YOLOv3 selects candidates by class score, detkit by the product with objectness, and
# clips boxes after NMS, detkit before. So both keep all candidates here.
WORDS = {
    "yolov3": [
        "model.head.postprocess.max_candidates=10000",
        "model.head.postprocess.iou_threshold=1.0",
    ],
}
# The layer whose gradients are compared: ours and theirs.
TRAINED = {
    **dict.fromkeys(
        ("retinanet", "fcos", "atss"),
        ("head.layers.class_tower.0.conv.weight", "bbox_head.cls_convs.0.conv.weight"),
    ),
    "ssd300": ("backbone.fc7.weight", "backbone.features.33.weight"),
}
TITLES = {
    "retinanet": "RetinaNet R50-FPN",
    "fcos": "FCOS R50-caffe-FPN",
    "atss": "ATSS R50-FPN",
    "faster_rcnn": "Faster R-CNN R50-FPN",
    "cascade_rcnn": "Cascade R-CNN R50-FPN",
    "ssd300": "SSD300 VGG-16",
    "yolov3": "YOLOv3 Darknet-53",
    "yolox_s": "YOLOX-s",
}
MEAN, STD = (
    torch.tensor(v)[:, None, None] for v in ([123.675, 116.28, 103.53], [58.4, 57.1, 57.4])
)


def imported(name, state, folder):
    """Save a state dict, import it by the command, and build the detector of its checkpoint."""
    torch.save(state, folder / "file.pth")
    output = folder / "a.ckpt"
    words = [str(folder / "file.pth"), "classes=[a,b,c]", f"output={output}"]
    assert main(["import", *words, *WORDS.get(name, [])]) == 0
    checkpoint = read_checkpoint(output)
    classes = Classes(checkpoint.class_names, checkpoint.category_ids)
    ours = assembly.build_detector(checkpoint.config["model"], classes).eval()
    load_weights(ours, checkpoint)
    return ours


def inputs_of(ours, batch, flips):
    """The images as MMDetection's preprocessor passes them to the network."""
    images = (batch.images.float() - ours.pixel_mean) / ours.pixel_std
    for image, (height, width) in zip(images, batch.image_sizes, strict=True):
        image[:, height:], image[:, :, width:] = 0, 0
    return images.flip(1) if flips else images


def batch_for(name, count=2):
    """Rectangles on noise, of the one size that SSD takes."""
    if name == "ssd300":
        return squared(rendered_batch(1, count), 300)
    return rendered_batch(128, count)


@pytest.fixture(scope="module", params=TITLES)
def case(request, tmp_path_factory):
    """MMDetection's detector, ours with its weights, and a batch."""
    name = request.param
    batch = batch_for(name)
    images = batch.images.float()
    raw = {"yolox_s": images.flip(1), "ssd300": images - MEAN}
    theirs = mmdet_model(name, raw.get(name, (images - MEAN) / STD))
    ours = imported(name, theirs.state_dict(), tmp_path_factory.mktemp("imported"))
    inputs = inputs_of(ours, batch, flips=name in ("fcos", "yolox_s"))
    return SimpleNamespace(name=name, theirs=theirs, ours=ours, batch=batch, inputs=inputs)


def compare(case, actual, expected, tolerance, compared):
    about = {"source": "MMDetection 3.3.0", "detector": TITLES[case.name]}
    assert_equal_within(actual, expected, tolerance, **about, compared=compared)


def flat(maps, values):
    """MMDetection's maps (B, A * values, H, W) of all levels as (B, P, values)."""
    levels = [m.permute(0, 2, 3, 1).reshape(len(m), -1, values) for m in maps]
    return torch.cat(levels, dim=1)


def test_every_tensor_is_imported(case):
    parameters = sum(p.numel() for p in case.theirs.parameters())
    buffers = sum(b.numel() for n, b in case.ours.named_buffers() if not n.startswith("pixel"))
    assert parameters > 1e6
    assert sum(p.numel() for p in case.ours.parameters()) + buffers >= parameters


@torch.no_grad()
def test_raw_outputs(case):
    features, maps = case.ours.features_of(case.batch), case.theirs.extract_feat(case.inputs)
    if case.name in ("faster_rcnn", "cascade_rcnn"):
        ours, maps, logits = case.ours.proposer.layers(features), case.theirs.rpn_head(maps), 1
    else:
        ours, maps = case.ours.head.layers(features), case.theirs.bbox_head(maps)
        logits = 4 if case.name == "ssd300" else 3
    if case.name == "yolov3":
        joint = flat(reversed(maps[0]), 8)  # MMDetection lists levels from coarse to fine
        maps = None
        expected = [joint[..., 5:], joint[..., :4], joint[..., 4]]
    else:
        expected = [flat(maps[0], logits), flat(maps[1], 4)]
        expected += [flat(maps[2], 1)[..., 0]] if len(maps) > 2 else []
    if case.name == "fcos":
        expected[1] = expected[1].log()  # MMDetection's head returns distances
    titles = ("class logits", "box codes", "quality logits")
    # Folding the first layer of YOLOX changes its rounding, which random weights amplify.
    tolerance = 1e-3 if case.name == "yolox_s" else 2e-4
    actual = [ours.class_logits, ours.box_codes, ours.quality]
    for title, mine, their in zip(titles, actual, expected, strict=False):
        compare(case, mine, their, tolerance, title)


@torch.no_grad()
@pytest.mark.parametrize("case", [name for name in TITLES if name != "yolox_s"], indirect=True)
def test_detections(case):
    size = tuple(case.inputs.shape[-2:])
    expected = case.theirs.predict(case.inputs, samples(case.batch.image_sizes, size))
    for detections, sample in zip(case.ours.predict(case.batch), expected, strict=True):
        height, width = sample.img_shape
        boxes = clip_boxes_to_image(sample.pred_instances.bboxes, (height, width))
        theirs = strong(boxes, sample.pred_instances.scores, sample.pred_instances.labels)
        mine = strong(detections.boxes, detections.scores, detections.labels)
        count = min(len(theirs[1]), len(mine[1]))
        assert count > 5
        assert abs(len(theirs[1]) - len(mine[1])) <= 1  # scores at the limit
        compare(case, mine[1][:count], theirs[1][:count], 1e-4, "scores of detections")
        assert torch.equal(mine[2][:count], theirs[2][:count])
        compare(case, mine[0][:count], theirs[0][:count], 0.02, "detected boxes (pixels)")


def strong(boxes, scores, labels):
    """Boxes with an area and a score that both sides' thresholds let through."""
    keep = (boxes[:, 2:] > boxes[:, :2]).all(dim=1) & (scores > 0.06)
    return boxes[keep], scores[keep], labels[keep]


@torch.no_grad()
@pytest.mark.parametrize("case", ["yolox_s"], indirect=True)
def test_boxes_and_scores_of_yolox(case):
    """Its detections have one class each in MMDetection, so the boxes before NMS are compared."""
    head, maps = case.theirs.bbox_head, case.theirs.extract_feat(case.inputs)
    logits, codes, objectness = (flat(m, n) for m, n in zip(head(maps), (3, 4, 1), strict=True))
    sizes = [m.shape[-2:] for m in maps]
    points = head.prior_generator.grid_priors(sizes, device="cpu", with_stride=True)
    expected = head._bbox_decode(torch.cat(points), codes)
    boxes, scores = case.ours.head.boxes_and_scores(
        case.ours.features_of(case.batch), case.batch.size_tensor
    )
    for mine, theirs, (height, width) in zip(boxes, expected, case.batch.image_sizes, strict=True):
        theirs_inside = clip_boxes_to_image(theirs, (height, width))
        compare(case, mine, theirs_inside, 0.01, "decoded boxes (pixels)")
    compare(case, scores, logits.sigmoid() * objectness.sigmoid(), 1e-4, "scores")


@pytest.mark.parametrize("case", TRAINED, indirect=True)
def test_losses_and_gradients(case):
    batch = batch_for(case.name, count=1)
    inputs = case.inputs[: len(batch.images)]
    expected = case.theirs.loss(inputs, samples_with_objects(batch))
    expected = {
        key: sum(value) if isinstance(value, list) else value for key, value in expected.items()
    }
    actual = case.ours.loss(batch)
    pairs = {"loss_cls": "loss/classification", "loss_bbox": "loss/box"}
    pairs |= {"loss_centerness": "loss/quality"} if "loss_centerness" in expected else {}
    for theirs, mine in pairs.items():
        assert expected[theirs] > 0.01
        relative = (actual[mine] / expected[theirs]).reshape(1)
        compare(case, relative, torch.ones(1), 1e-4, f"{mine} (relative)")
    sum(actual.values()).backward()
    sum(expected.values()).backward()
    mine, theirs = TRAINED[case.name]
    mine = case.ours.get_parameter(mine).grad
    theirs = case.theirs.get_parameter(theirs).grad
    scale = theirs.abs().max()
    compare(case, mine / scale, theirs / scale, 1e-3, "gradients (relative to the largest)")
