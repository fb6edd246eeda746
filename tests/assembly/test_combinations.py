"""Any backbone fits any neck fits any head; grows by itself with the registry."""

import itertools
from typing import Any

import pytest
import torch
from rectangle_masks import with_rectangles
from second_parts import LAYERS_WITHOUT_SECOND_PRIORS, with_second_parts
from torch import nn

from detkit import assembly, registry
from detkit.assembly import Classes
from detkit.backbones.network import Network
from detkit.config.pages import filled
from detkit.config.part_pages import page_names
from detkit.errors import UserError
from detkit.structures import IGNORED, Batch, ClassCounts, PaddedTargets, Target

CLASSES = Classes(["a", "b", "c"], [1, 2, 3], ClassCounts(10, [6, 3, 2], [9, 5, 2]))
SIZE = 64
# Fully connected layers for the default size of images need gigabytes on fine levels.
SMALL_CONNECTED_LAYERS = {"name": "yolov1", "image_size": [SIZE, SIZE], "local_channels": 2}
# What a part needs besides its defaults to be built offline and small.
SMALL: dict[tuple[str, str], dict[str, Any]] = {
    ("backbone", "timm"): {"model": "test_resnet"},
    ("backbone", "vgg16_ssd"): {"levels": [2, 3, 4]},  # two levels are too few for most necks
    ("backbone", "mobilenet_v3_large_ssd"): {"levels": [3, 4, 5]},
    ("backbone", "csp_yolov5"): {"depth": 0.33, "width": 0.125},
    ("backbone", "csp_yolo11"): {"depth": 0.5, "width": 0.125},
    **{
        ("neck", name): {"out_channels": 16}
        for name in ("bifpn", "fpn", "pan", "projection", "transfer_connection")
    },
    ("neck", "yolov1"): {"out_channels": 16},
    ("head", "yolov1"): {"layers": filled("layers", SMALL_CONNECTED_LAYERS)},
    ("neck", "ssd_extra"): {"channels": [16, 16, 16, 16]},
    ("neck", "ssdlite_extra"): {"channels": [16, 16, 16, 16]},
    ("neck", "sequence"): {
        "necks": {"sppf": {"name": "sppf"}, "fpn": {"name": "fpn", "out_channels": 16}}
    },
}


def node(family: str, name: str, **values: Any) -> dict[str, Any]:
    node = filled(family, {"name": name, **SMALL.get((family, name), {}), **values})
    if "necks" in node:
        node["necks"] = {label: filled("neck", each) for label, each in node["necks"].items()}
    return node


def build(backbone: str, neck: str, head: str, **values: Any) -> nn.Module:
    parts = {
        "backbone": node("backbone", backbone),
        "neck": node("neck", neck),
        "head": node("head", head, **values),
    }
    return assembly.build_detector(filled("detector", {"name": "one_stage", **parts}), CLASSES)


def batch_of(*targets: Target) -> Batch:
    torch.manual_seed(0)
    count = len(targets)
    sizes = [(SIZE, SIZE - 8 * i) for i in range(count)]
    return Batch(
        images=torch.randint(0, 256, (count, 3, SIZE, SIZE), dtype=torch.uint8),
        image_sizes=sizes,
        targets=PaddedTargets.of([with_rectangles(target) for target in targets], sizes),
        original_targets=list(targets),
        image_ids=list(range(count)),
        paths=[f"{i}.png" for i in range(count)],
        original_sizes=sizes,
        to_image=torch.eye(3, dtype=torch.float64).repeat(count, 1, 1),
    )


def objects() -> Target:
    boxes = torch.tensor([[4.0, 4.0, 40.0, 44.0], [20.0, 10.0, 34.0, 26.0]])
    return Target(boxes, torch.tensor([0, 2]), torch.tensor([False, False]))


def require_trainable(detector: nn.Module, batch: Batch) -> None:
    """Losses are finite and their gradient reaches every trainable parameter."""
    losses = detector.loss(batch)
    total = sum(losses.values())
    assert torch.isfinite(total), losses
    total.backward()
    without = [
        name for name, p in detector.named_parameters() if p.requires_grad and p.grad is None
    ]
    assert without == []
    grads = [p.grad for p in detector.parameters() if p.grad is not None]
    assert all(torch.isfinite(grad).all() for grad in grads)


# A head sees its neck's maps only, and a neck its backbone's, so pairs are enough: every backbone
# before one neck, and every neck before every head. `pixels` has no features, only crops for R-CNN.
# Set prediction has other slots: tests/heads/test_set_prediction.py combines it.
HEADS = [name for name in page_names("head") if "layers" in filled("head", name)]
NECKS = registry.names("neck")
COMBINATIONS = {
    *((backbone, "fpn", "fcos") for backbone in registry.names("backbone") if backbone != "pixels"),
    *itertools.product(["timm"], NECKS, HEADS),
}
# By default each neck is before one head and each head behind one neck or more.
QUICK = {("timm", neck, HEADS[position % len(HEADS)]) for position, neck in enumerate(NECKS)}


# One of the networks that come from torchvision and timm, which all run through the class Network.
# tests/backbones checks the maps and gradients of the others without their numbers.
QUICK_NETWORKS = {"resnet18"}
LARGE_NETWORKS = {
    *("hourglass104", "residual_attention92", "vgg16_refinedet", "yolov1", "darknet53"),
    *("residual_attention56", "vgg16_ssd", "csp_darknet53", "csp_yolo11"),
}


def is_quick(combination: tuple[str, str, str]) -> bool:
    backbone = combination[0]
    if backbone == "timm":
        return combination in QUICK
    part = registry.get("backbone", backbone)
    is_network = isinstance(part, type) and issubclass(part, Network)
    return backbone in QUICK_NETWORKS or not (is_network or backbone in LARGE_NETWORKS)


@pytest.mark.parametrize(
    ("backbone", "neck", "head"),
    [
        pytest.param(*row, marks=() if is_quick(row) else pytest.mark.slow)
        for row in sorted(COMBINATIONS)
    ],
)
def test_every_combination_trains_and_predicts(backbone: str, neck: str, head: str) -> None:
    torch.manual_seed(0)
    detector = build(backbone, neck, head)
    batch = batch_of(objects(), Target.empty())
    require_trainable(detector, batch)
    detector.eval()
    with torch.no_grad():
        found = detector.predict(batch)
    assert len(found) == 2
    for detections, (height, width) in zip(found, batch.original_sizes, strict=True):
        assert (detections.boxes >= 0).all()
        assert (detections.boxes[:, [0, 2]] <= width).all()
        assert (detections.boxes[:, [1, 3]] <= height).all()
        assert (detections.labels < len(CLASSES.names)).all()


@pytest.mark.parametrize("head", HEADS)
def test_batch_without_any_box_trains(head: str) -> None:  # pains 14 and 15
    torch.manual_seed(0)
    detector = build("timm", "fpn", head)
    require_trainable(detector, batch_of(Target.empty(), Target.empty()))


# SSD's boxes are more on some levels than on others; these heads share their layers over levels.
UNEVEN = [(head, "ssd_boxes") for head in ("atss", "fcos", "retinanet", "fsaf_anchors")]


@pytest.mark.parametrize(("head", "priors"), UNEVEN)
def test_priors_that_differ_between_levels_do_not_fit_shared_layers(head: str, priors: str) -> None:
    with pytest.raises(UserError, match="give all levels the same priors"):
        build("timm", "fpn", head, priors={"name": priors})


def slot_choices() -> list[tuple[str, str, str]]:
    """Every part that fits a slot of a head, by head, slot and name."""
    from detkit.config.signatures import arguments

    found = []
    for head in HEADS:
        node = filled("head", head)
        for argument in arguments(registry.get("head", node["name"])).values():
            slot = argument.slot
            used = slot and slot.family != "neck" and node[argument.name]
            for name in registry.names(slot.family) if used else []:
                space = getattr(registry.get(slot.family, name), "space", None)
                fits = name != "corner_variance" and (head, name) not in UNEVEN
                if (not slot.space or space in slot.space) and fits:
                    found.append((head, argument.name, name))
    found.remove(LAYERS_WITHOUT_SECOND_PRIORS)
    return found


CHOICES = slot_choices()


def space_of(loss: str) -> str:
    return getattr(registry.get("loss", loss), "space", "")


def changes(head: str, slot: str, name: str) -> dict[str, Any]:
    """A part for a slot, with the parts that it needs in other slots."""
    others: dict[str, Any] = {}
    # Distributions go with losses of boxes and of themselves; all else is refused, see below.
    if head == "yolo_free" and slot == "box_coder" and name != "distribution":
        others = {"distribution_loss": None}
    elif slot == "box_coder" and name == "distribution":
        others = {"box_loss": {"name": "giou"}}
    elif head == "yolo_free" and slot == "box_loss" and space_of(name) == "codes":
        others = {"distribution_loss": None, "box_coder": {"name": "distance"}}
    elif slot == "layers" and name in ("decoupled", "rpn", "ssd") and head not in TWO_KINDS:
        others = {"quality_target": None, "quality_loss": None}
    if slot == "layers" and name in ("rpn", "towers") and head in ("ssd", "ssdlite"):
        others = {**others, "priors": {"name": "anchors"}}
    part = SMALL_CONNECTED_LAYERS if name == "yolov1" and slot == "layers" else {"name": name}
    return with_second_parts(head, {**others, slot: part})


def require_fitting(head: str, parts: dict[str, Any]) -> None:
    torch.manual_seed(0)
    detector = build("timm", "fpn", head, **parts)
    batch = batch_of(objects(), Target.empty())
    require_trainable(detector, batch)
    with torch.no_grad():
        assert len(detector.eval().predict(batch)) == 2


@pytest.mark.slow
@pytest.mark.parametrize(("head", "slot", "name"), CHOICES)
def test_every_part_fits_every_slot_alone(head: str, slot: str, name: str) -> None:
    require_fitting(head, changes(head, slot, name))


# Heads with slots for a second step or branch; these slots take the same parts as the others.
TWO_KINDS = ("fsaf_anchors", "refinedet")
SECOND = {slot for head, slot, _ in CHOICES if head in TWO_KINDS} - {
    slot for head, slot, _ in CHOICES if head not in TWO_KINDS
}
# Slots that every head has and that need nothing of other slots.
FREE = {
    slot: sorted({name for _, other, name in CHOICES if other == slot})
    for slot in ("assigner", "sampler", "classification_loss", "postprocess")
}


def rows_with_each_part() -> list[tuple[str, dict[str, Any]]]:
    """A head and parts for several of its slots; each part occurs in each slot that admits it.

    tests/heads puts every part into every head; what is added here is that assembly wires it.
    """
    heads = itertools.cycle(HEADS)
    rows: list[tuple[str, dict[str, Any]]] = []
    for slot, name in sorted({(s, n) for _, s, n in CHOICES if s not in {*FREE, *SECOND}}):
        admitting = {head for head, *part in CHOICES if part == [slot, name]}
        head = next(head for head in heads if head in admitting)
        free = {key: {"name": names[len(rows) % len(names)]} for key, names in FREE.items()}
        rows.append((head, with_second_parts(head, {**free, **changes(head, slot, name)})))
    return rows


@pytest.mark.parametrize(("head", "parts"), rows_with_each_part())
def test_every_part_fits_every_slot(head: str, parts: dict[str, Any]) -> None:
    require_fitting(head, parts)


def test_loss_of_codes_with_distributions_says_so() -> None:
    with pytest.raises(UserError, match=r"model\.head: .*such as box_loss=giou, or box_coder"):
        build("timm", "fpn", "retinanet", box_coder={"name": "distribution"})


def test_loss_of_distributions_without_distributions_says_so() -> None:
    with pytest.raises(UserError, match=r"model\.head: .*choose box_coder 'distribution', or set"):
        build("timm", "fpn", "yolo_free", box_coder={"name": "distance"})


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("assigner", ["sim_ota", "task_aligned"])
def test_assigners_that_see_predictions_find_objects_in_every_head(
    head: str, assigner: str
) -> None:
    torch.manual_seed(0)
    detector = build("timm", "fpn", head, assigner={"name": assigner})
    batch = batch_of(objects(), Target.empty())
    _, matched = detector.head.assign(detector.features_of(batch), batch.targets)
    assert set(matched[0].tolist()) - {IGNORED} == {-1, 0, 1}
    assert set(matched[1].tolist()) == {-1}
    assert detector.loss(batch)["loss/box"] > 0


def test_neck_that_needs_more_levels_says_so() -> None:
    parts = {
        "backbone": node("backbone", "resnet18", levels=[5]),
        "neck": node("neck", "fpn"),
        "head": node("head", "fcos"),
    }
    model = filled("detector", {"name": "one_stage", **parts})
    with pytest.raises(UserError, match=r"model\.neck: .*levels"):
        assembly.build_detector(model, CLASSES)


def test_building_on_meta_takes_no_memory() -> None:
    model = filled("detector", {"name": "one_stage"})
    detector = assembly.describe_on_meta(model, CLASSES)
    assert {p.device.type for p in detector.parameters()} == {"meta"}
