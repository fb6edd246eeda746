"""Networks of Ultralytics, saved and imported by the command, give the package's outputs.

Ultralytics is under AGPL-3.0: these tests call the installed package and copy nothing of it.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from measured_differences import assert_equal_within
from pictures import rendered_batch
from torch import nn

from detkit import assembly
from detkit.assembly import Classes
from detkit.cli.main import main
from detkit.runs.checkpoint import load_weights, read_checkpoint

pytestmark = pytest.mark.slow
STRIDES = (8, 16, 32)
SIZE = (128, 160)  # large enough for statistics of the coarsest maps
NAMES = [*(f"{network}{size}" for network in ("yolov8", "yolo11") for size in "nsmlx"), "yolov5n"]
ANCHORS = torch.tensor(
    [
        [[10, 13], [16, 30], [33, 23]],
        [[30, 61], [62, 45], [59, 119]],
        [[116, 90], [99, 98], [60, 9]],
    ]
)


# docs/from-ultralytics.md has these words.
LOSSES = [
    "model.head.assigner.topk=10",
    "model.head.assigner.alpha=0.5",
    "model.head.assigner.overlap=ciou",
    "model.head.assigner.least_overlap=0",
    "model.head.assigner.keep_best=false",
    "model.head.classification_loss.weight=0.5",
    "model/head/box_loss=ciou",
    "model.head.box_loss.weight=7.5",
    "model.head.distribution_loss.weight=1.5",
    "model.head.empty_image=0",
]


def imported(state, folder, words=()):
    """Save a state dict, import it by the command, and build the detector of its checkpoint."""
    torch.save(state, folder / "file.pt")
    output = folder / "a.ckpt"
    command = ["import", str(folder / "file.pt"), "classes=[a,b,c]", f"output={output}", *words]
    assert main(command) == 0
    checkpoint = read_checkpoint(output)
    classes = Classes(checkpoint.class_names, checkpoint.category_ids)
    ours = assembly.build_detector(checkpoint.config["model"], classes).eval()
    load_weights(ours, checkpoint)
    return ours


@torch.no_grad()
def ultralytics_model(name, images):
    """A network of Ultralytics with random weights, in evaluation mode."""
    reason = "the reference is Ultralytics, which is not installed"
    tasks = pytest.importorskip("ultralytics.nn.tasks", reason=reason)
    torch.manual_seed(0)
    model = tasks.DetectionModel(f"{name}.yaml", nc=3, verbose=False)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # take the statistics from `images`
        nn.init.normal_(norm.bias, std=0.1)
    model.train()(images)
    for layer in [*model.model[-1].cv2, *model.model[-1].cv3]:
        nn.init.normal_(layer[2].weight, std=0.3)
    return model.eval()


def head_inputs(model, images):
    """The maps that the last layer gets, and its output."""
    caught = []
    handle = model.model[-1].register_forward_pre_hook(lambda _, inputs: caught.extend(inputs[0]))
    output = model(images)
    handle.remove()
    return caught, output


def flat(maps, values):
    return torch.cat([m.permute(0, 2, 3, 1).reshape(len(m), -1, values) for m in maps], dim=1)


def compare(name, actual, expected, tolerance, compared):
    about = {"source": "Ultralytics 8.4.190", "detector": name}
    assert_equal_within(actual, expected, tolerance, **about, compared=compared)


@pytest.fixture(scope="module", params=NAMES)
def case(request, tmp_path_factory):
    torch.manual_seed(1)
    images = torch.randint(0, 256, (2, 3, *SIZE)).float()
    theirs = ultralytics_model(request.param, images / 255)
    name = request.param.replace("v5n", "v5nu")  # the package has only the later head
    ours = imported(theirs.state_dict(), tmp_path_factory.mktemp("imported"))
    return SimpleNamespace(name=name, theirs=theirs, ours=ours, images=images)


@torch.no_grad()
def outputs(theirs, images):
    """The box codes and class logits of a network of Ultralytics."""
    maps, _ = head_inputs(theirs, images / 255)
    head = theirs.model[-1]
    codes = flat([layer(m) for layer, m in zip(head.cv2, maps, strict=True)], 64)
    return codes, flat([layer(m) for layer, m in zip(head.cv3, maps, strict=True)], 3)


def test_parameters_are_equal_in_number(case):
    fixed = 16  # the bins of a distribution, which Ultralytics stores as a convolution
    counts = [sum(p.numel() for p in model.parameters()) for model in (case.ours, case.theirs)]
    assert counts[0] + fixed == counts[1]


@torch.no_grad()
def test_outputs_of_the_network(case):
    codes, logits = outputs(case.theirs, case.images)
    ours = case.ours(case.images)
    compare(case.name, ours.box_codes, codes, 1e-4, "box codes")
    compare(case.name, ours.class_logits, logits, 1e-4, "class logits")


@pytest.mark.parametrize("case", ["yolov8n", "yolo11n"], indirect=True)
@torch.no_grad()
def test_outputs_in_double_precision(case):
    theirs, mine = (deepcopy(model).double() for model in (case.theirs, case.ours))
    codes, logits = outputs(theirs, case.images.double())
    ours = mine(case.images.double())
    torch.testing.assert_close(ours.box_codes, codes, rtol=0, atol=1e-10)
    torch.testing.assert_close(ours.class_logits, logits, rtol=0, atol=1e-10)


@torch.no_grad()
def test_boxes_and_scores(case):
    _, output = head_inputs(case.theirs, case.images / 255)
    decoded = output[0].transpose(1, 2)  # (B, P, 4 + C): centre, size, scores
    centres, sizes = decoded[..., :2], decoded[..., 2:4]
    boxes = torch.cat([centres - sizes / 2, centres + sizes / 2], dim=-1)
    limit = torch.tensor([*SIZE[::-1], *SIZE[::-1]])  # Ultralytics clips after NMS
    mine, scores = case.ours.raw_detections(case.images)
    compare(case.name, mine, boxes.clamp(min=0).minimum(limit), 0.01, "decoded boxes (pixels)")
    compare(case.name, scores, decoded[..., 4:], 1e-4, "scores")


@pytest.mark.parametrize("case", ["yolov8n", "yolo11n"], indirect=True)
def test_losses_and_gradients(case, tmp_path):
    theirs = deepcopy(case.theirs)
    for layer in theirs.model[-1].cv2:  # so that all boxes are about 15 strides wide
        layer[2].weight.data /= 30
    ours = imported(theirs.state_dict(), tmp_path, LOSSES)
    batch = larger_batch()
    mine, expected = ours.loss(batch), losses_of_ultralytics(theirs, batch)
    for name, value in expected.items():
        assert value > 0.01
        compare(case.name, mine[name] / value, torch.tensor(1.0), 1e-4, f"{name} (relative)")
    sum(mine.values()).backward()
    sum(expected.values()).backward()
    layers = ours.head.layers
    for kind, my_layers in (("cv2", layers.box_layers), ("cv3", layers.class_layers)):
        my_gradient = my_layers[0].weight.grad
        gradient = getattr(theirs.model[-1], kind)[0][2].weight.grad
        scale = gradient.abs().max()
        assert scale > 0
        about = "gradients (relative to the largest)"
        compare(case.name, my_gradient / scale, gradient / scale, 1e-3, about)


def larger_batch():
    """Large boxes on noise, for which the norms of the network have statistics."""
    batch = rendered_batch(128)
    images = torch.randint(0, 256, (2, 3, 384, 384), dtype=torch.uint8)
    targets = batch.targets._replace(boxes=3 * batch.targets.boxes)
    sizes = [(384, 384), (384, 384)]
    return replace(batch, images=images, targets=targets, image_sizes=sizes, size_tensor=None)


def losses_of_ultralytics(model, batch):
    """The package's losses under the names of detkit, with the package's default weights."""
    losses = pytest.importorskip("ultralytics.utils.loss")
    model.args = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, epochs=100)
    image, object_ = batch.targets.mask.nonzero(as_tuple=True)
    boxes = batch.targets.boxes[image, object_]
    height, width = batch.images.shape[2:]
    shares = torch.cat([boxes[:, :2] + boxes[:, 2:], 2 * (boxes[:, 2:] - boxes[:, :2])], dim=1) / 2
    objects = {
        "batch_idx": image.float(),
        "cls": batch.targets.labels[image, object_].float(),
        "bboxes": shares / torch.tensor([width, height, width, height]),
    }
    weighted, _ = losses.v8DetectionLoss(model)(model(batch.images / 255), objects)
    names = ("loss/box", "loss/classification", "loss/distribution")
    return dict(zip(names, weighted / len(batch.images), strict=True))


@pytest.fixture(scope="module")
def with_anchors(tmp_path_factory):
    """YOLOv5n as its repository saves it: the package's network with three 1x1 convolutions."""
    torch.manual_seed(2)
    images = torch.randint(0, 256, (2, 3, *SIZE)).float()
    theirs = ultralytics_model("yolov5n", images / 255)
    maps, _ = head_inputs(theirs, images / 255)
    outputs = [nn.Conv2d(m.shape[1], 3 * 8, 1) for m in maps]
    state = {n: v for n, v in theirs.state_dict().items() if not n.startswith("model.24.")}
    for level, layer in enumerate(outputs):
        state |= {f"model.24.m.{level}.{n}": v for n, v in layer.state_dict().items()}
    state["model.24.anchors"] = ANCHORS / torch.tensor(STRIDES)[:, None, None]
    ours = imported(state, tmp_path_factory.mktemp("imported"))
    rows = [layer(m).detach() for layer, m in zip(outputs, maps, strict=True)]
    return SimpleNamespace(ours=ours, images=images, rows=rows)


@torch.no_grad()
def test_outputs_of_yolov5_with_anchors(with_anchors):
    ours, rows = with_anchors.ours(with_anchors.images), flat(with_anchors.rows, 8)
    compare("yolov5n", ours.box_codes, rows[..., :4], 1e-4, "box codes")
    compare("yolov5n", ours.quality, rows[..., 4], 1e-4, "objectness logits")
    compare("yolov5n", ours.class_logits, rows[..., 5:], 1e-4, "class logits")


@torch.no_grad()
def test_boxes_of_yolov5_with_anchors(with_anchors):
    expected = []
    for rows, anchors, stride in zip(with_anchors.rows, ANCHORS, STRIDES, strict=True):
        shares = rows.unflatten(1, (3, 8)).permute(0, 3, 4, 1, 2).sigmoid()  # (B, H, W, A, 8)
        y, x = torch.meshgrid(*map(torch.arange, rows.shape[-2:]), indexing="ij")
        cells = torch.stack([x, y], dim=-1)[:, :, None]
        centres = (2 * shares[..., :2] - 0.5 + cells) * stride
        halves = (2 * shares[..., 2:4]) ** 2 * anchors / 2
        expected.append(torch.cat([centres - halves, centres + halves], dim=-1).flatten(1, 3))
    limit = torch.tensor([*SIZE[::-1], *SIZE[::-1]])
    boxes, _ = with_anchors.ours.raw_detections(with_anchors.images)
    expected = torch.cat(expected, dim=1).clamp(min=0).minimum(limit)
    compare("yolov5n", boxes, expected, 0.01, "decoded boxes (pixels)")
