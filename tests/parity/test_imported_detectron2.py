"""Detectron2's detectors, saved and imported by the command, give Detectron2's values."""

from __future__ import annotations

import math
import pickle
from types import SimpleNamespace

import pytest
import torch
from detectron2_models import detectron2_model, inputs_of_detectron2
from measured_differences import assert_equal_within
from pictures import rendered_batch

from detkit import assembly
from detkit.assembly import Classes
from detkit.cli.main import main
from detkit.runs.checkpoint import load_weights, read_checkpoint

pytestmark = pytest.mark.slow
TITLES = {
    "retinanet": "RetinaNet R50-FPN",
    "faster_rcnn": "Faster R-CNN R50-FPN",
    "mask_rcnn": "Mask R-CNN R50-FPN",
    "cascade_rcnn": "Cascade R-CNN R50-FPN",
    "cascade_mask_rcnn": "Cascade Mask R-CNN R50-FPN",
}
TWO_STAGES = [name for name in TITLES if name.endswith("rcnn")]
# Detectron2's RetinaNet clips boxes after NMS, detkit before. So both keep all candidates here.
# Its roi heads predict boxes of any width, detkit's of 0.01 pixels or more unless told otherwise.
WORDS = {
    "retinanet": ["model.head.postprocess.iou_threshold=1.0"],
    **{name: ["model.roi_head.min_size=0.0"] for name in TWO_STAGES},
}
# Samples of anchors and regions are random, so losses are compared with all of them. Detectron2's
# Cascade R-CNN adds the objects in the first stage alone, detkit in all stages or in none.
ALL = 1_000_000
_SAMPLE_ALL = [f"model.{part}.sampler.number={ALL}" for part in ("proposer", "roi_head")]
TRAINING_WORDS = {
    "retinanet": ["model.head.empty_image=0.0"],  # its batch has an image without objects
    "faster_rcnn": _SAMPLE_ALL,
    "cascade_rcnn": [
        *_SAMPLE_ALL,
        "model.roi_head.add_objects=false",
        "model.roi_head.min_size=1e-9",
    ],
}
_PROPOSER_LOSSES = {
    "loss_rpn_cls": "loss/proposal_classification",
    "loss_rpn_loc": "loss/proposal_box",
}
LOSSES = {
    "retinanet": {"loss_cls": "loss/classification", "loss_box_reg": "loss/box"},
    "faster_rcnn": {
        **_PROPOSER_LOSSES,
        "loss_cls": "loss/classification",
        "loss_box_reg": "loss/box",
    },
    "cascade_rcnn": {
        **_PROPOSER_LOSSES,
        **{f"loss_cls_stage{n}": f"loss/stage{n + 1}_classification" for n in range(3)},
        **{f"loss_box_reg_stage{n}": f"loss/stage{n + 1}_box" for n in range(3)},
    },
}
# Parameters whose gradients are compared: ours and theirs. Detectron2 divides the gradients that a
# cascade passes to the features by the number of stages, so there those of the last stage.
GRADIENTS = {
    "retinanet": {
        "head.layers.class_tower.0.conv.weight": "head.cls_subnet.0.weight",
        "neck.output.0.conv.weight": "backbone.fpn_output3.weight",
    },
    "faster_rcnn": {
        "roi_head.stage.box_head.first.weight": "roi_heads.box_head.fc1.weight",
        "proposer.layers.shared.0.conv.weight": "proposal_generator.rpn_head.conv.weight",
        "neck.output.0.conv.weight": "backbone.fpn_output2.weight",
    },
    "cascade_rcnn": {
        "roi_head.stages.2.box_head.first.weight": "roi_heads.box_head.2.fc1.weight",
        "proposer.layers.shared.0.conv.weight": "proposal_generator.rpn_head.conv.weight",
    },
}


def saved(model, folder):
    """The weights as in Detectron2's model zoo: a pickle of NumPy arrays."""
    path = folder / "model_final.pkl"
    arrays = {name: value.numpy() for name, value in model.state_dict().items()}
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "Detectron2 Model Zoo"}))
    return path


def imported(path, words, output):
    """Import a file by the command, and build the detector of its checkpoint."""
    assert main(["import", str(path), "classes=[a,b,c]", f"output={output}", *words]) == 0
    checkpoint = read_checkpoint(output)
    classes = Classes(checkpoint.class_names, checkpoint.category_ids)
    ours = assembly.build_detector(checkpoint.config["model"], classes).eval()
    load_weights(ours, checkpoint)
    return ours


@pytest.fixture(scope="module", params=TITLES)
def case(request, tmp_path_factory):
    """Detectron2's detector, its file, ours with its weights, and a batch."""
    name, batch = request.param, rendered_batch(128)
    inputs, folder = inputs_of_detectron2(batch), tmp_path_factory.mktemp("imported")
    theirs = detectron2_model(name, inputs)
    file = saved(theirs, folder)
    ours = imported(file, WORDS.get(name, []), folder / "a.ckpt")
    return SimpleNamespace(
        name=name, theirs=theirs, file=file, ours=ours, batch=batch, inputs=inputs
    )


def compare(case, actual, expected, tolerance, compared):
    about = {"source": "Detectron2 0.6", "detector": TITLES[case.name]}
    assert_equal_within(actual, expected, tolerance, **about, compared=compared)


def flat(maps, values, sizes=1):
    """Detectron2's maps (B, A * values, H, W) of all levels as (B, P, values), in detkit's order.

    Anchors of a cell are sizes * ratios there.
    """
    levels = []
    for level in maps:
        by_anchor = level.unflatten(1, (sizes, -1, values))  # (B, sizes, ratios, values, H, W)
        levels.append(by_anchor.permute(0, 4, 5, 2, 1, 3).flatten(1, 4))
    return torch.cat(levels, dim=1)


def test_every_tensor_is_imported(case):
    parameters = sum(value.numel() for value in case.theirs.state_dict().values())
    tensors = case.ours.state_dict().items()
    assert sum(v.numel() for n, v in tensors if "num_batches" not in n) == parameters > 1e7


@torch.no_grad()
def test_raw_outputs(case):
    features = case.ours.features_of(case.batch)
    maps = case.theirs.backbone(case.theirs.preprocess_image(case.inputs).tensor)
    if case.name == "retinanet":
        ours = case.ours.head.layers(features)
        logits, codes = case.theirs.head([maps[name] for name in case.theirs.head_in_features])
        expected = flat(logits, 3, sizes=3), flat(codes, 4, sizes=3)
    else:
        ours = case.ours.proposer.layers(features)
        rpn = case.theirs.proposal_generator
        logits, codes = rpn.rpn_head([maps[name] for name in rpn.in_features])
        expected = flat(logits, 1), flat(codes, 4)
    compare(case, ours.class_logits, expected[0], 2e-4, "class logits")
    compare(case, ours.box_codes, expected[1], 2e-4, "box codes")


@torch.no_grad()
@pytest.mark.parametrize("case", TWO_STAGES, indirect=True)
def test_proposals(case):
    images = case.theirs.preprocess_image(case.inputs)
    expected, _ = case.theirs.proposal_generator(images, case.theirs.backbone(images.tensor))
    regions = case.ours.proposer.propose(case.ours.features_of(case.batch), case.batch.size_tensor)
    for boxes, mask, proposals in zip(regions.boxes, regions.mask, expected, strict=True):
        assert len(proposals) == mask.sum() > 100
        theirs = proposals.proposal_boxes.tensor
        # Rounding exchanges regions of nearly equal scores, so each is compared with the nearest.
        distances = torch.cdist(boxes[mask], theirs, p=math.inf)
        for side in (0, 1):
            least = distances.amin(dim=side)
            compare(case, least, torch.zeros_like(least), 0.02, "proposed boxes (pixels)")


@torch.no_grad()
def test_detections(case):
    if case.name == "retinanet":
        case.theirs.test_nms_thresh = 1.0
    expected = case.theirs(case.inputs)
    for detections, result in zip(case.ours.predict(case.batch), expected, strict=True):
        theirs, sides = result["instances"], detections.boxes[:, 2:] - detections.boxes[:, :2]
        has_area = (sides > 0).all(dim=1)  # Detectron2 drops the others at last
        assert len(theirs) == has_area.sum() > 5
        compare(case, detections.scores[has_area], theirs.scores, 1e-4, "scores of detections")
        assert torch.equal(detections.labels[has_area], theirs.pred_classes)
        boxes = theirs.pred_boxes.tensor
        compare(case, detections.boxes[has_area], boxes, 0.02, "detected boxes (pixels)")


@torch.no_grad()
@pytest.mark.parametrize("case", [n for n in TITLES if "mask" in n], indirect=True)
def test_masks(case):
    expected = case.theirs.inference(case.inputs, do_postprocess=False)
    for detections, theirs in zip(case.ours.predict(case.batch), expected, strict=True):
        mine = detections.masks.probabilities
        compare(case, mine, theirs.pred_masks[:, 0], 1e-4, "mask probabilities")


def their_losses(theirs, batch):
    """Detectron2's losses, with divisors that are the numbers of anchors in the loss."""
    from detectron2.utils.events import EventStorage

    inputs, images = inputs_of_detectron2(batch, with_objects=True), len(batch.images)
    theirs.train()
    with EventStorage() as storage:
        losses = theirs(inputs)
    theirs.eval()
    seen = {name: value for name, (value, _) in storage.latest().items()}
    if "num_pos_anchors" in seen:  # a moving average of the positive anchors divides
        factor = theirs.loss_normalizer / (seen["num_pos_anchors"] * images)
        return {name: factor * value for name, value in losses.items()}
    sampled = seen["rpn/num_pos_anchors"] + seen["rpn/num_neg_anchors"]
    factor = theirs.proposal_generator.batch_size_per_image / sampled
    return {name: factor * v if "rpn" in name else v for name, v in losses.items()}


@pytest.mark.parametrize("case", TRAINING_WORDS, indirect=True)
def test_losses_and_gradients(case, tmp_path):
    ours = imported(case.file, TRAINING_WORDS[case.name], tmp_path / "b.ckpt")
    if case.name != "retinanet":
        case.theirs.proposal_generator.batch_size_per_image = ALL
        case.theirs.roi_heads.batch_size_per_image = ALL
        case.theirs.roi_heads.proposal_append_gt = case.name == "faster_rcnn"
    expected, actual = their_losses(case.theirs, case.batch), ours.loss(case.batch)
    assert set(LOSSES[case.name]) == set(expected)
    assert set(LOSSES[case.name].values()) == set(actual)
    for theirs, mine in LOSSES[case.name].items():
        assert expected[theirs] > 0.001
        relative = (actual[mine] / expected[theirs])[None]
        compare(case, relative, torch.ones(1), 1e-4, f"{mine} (relative)")
    sum(actual.values()).backward()
    sum(expected.values()).backward()
    for mine, theirs in GRADIENTS[case.name].items():
        gradient = case.theirs.get_parameter(theirs).grad
        scale = gradient.abs().max()
        actual_gradient = ours.get_parameter(mine).grad / scale
        compare(
            case, actual_gradient, gradient / scale, 1e-3, "gradients (relative to the largest)"
        )
