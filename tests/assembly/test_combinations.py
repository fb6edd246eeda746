"""Any backbone fits any neck fits any head; grows by itself with the registry."""

import itertools
from typing import Any

import pytest
import torch
from torch import nn

from detkit import assembly, registry
from detkit.assembly import Classes
from detkit.config.pages import filled
from detkit.config.part_pages import page_names
from detkit.errors import UserError
from detkit.structures import Batch, Target

CLASSES = Classes(["a", "b", "c"], [1, 2, 3])
SIZE = 64
# What a part needs besides its defaults to be built offline and small.
SMALL: dict[tuple[str, str], dict[str, Any]] = {
    ("backbone", "timm"): {"model": "test_resnet"},
    ("backbone", "vgg16_ssd"): {"levels": [2, 3, 4]},  # two levels are too few for most necks
    ("backbone", "mobilenet_v3_large_ssd"): {"levels": [3, 4, 5]},
    ("backbone", "csp_yolov5"): {"depth": 0.33, "width": 0.125},
    **{("neck", name): {"out_channels": 16} for name in ("bifpn", "fpn", "pan", "projection")},
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
    return Batch(
        images=torch.randint(0, 256, (count, 3, SIZE, SIZE), dtype=torch.uint8),
        image_sizes=[(SIZE, SIZE - 8 * i) for i in range(count)],
        targets=list(targets),
        original_targets=list(targets),
        image_ids=list(range(count)),
        paths=[f"{i}.png" for i in range(count)],
        original_sizes=[(SIZE, SIZE - 8 * i) for i in range(count)],
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
# before one neck, and every neck before every head.
HEADS = page_names("head")
NECKS = registry.names("neck")
COMBINATIONS = {
    *((backbone, "fpn", "fcos") for backbone in registry.names("backbone")),
    *itertools.product(["timm"], NECKS, HEADS),
}
# By default each neck is before one head and each head behind one neck or more.
QUICK = {("timm", neck, HEADS[position % len(HEADS)]) for position, neck in enumerate(NECKS)}


# Wider or deeper variants of a smaller backbone in the list; each takes seconds.
LARGE = {
    *("resnet101", "resnet152", "resnetv2_101", "resnext101_32x8d", "resnext101_64x4d"),
    *("wide_resnet50_2", "seresnext50_32x4d", "densenet169", "densenet201", "vgg16_bn", "vgg19_bn"),
    *("convnext_small", "convnext_base", "swin_small", "swin_base"),
}


def test_large_backbones_are_registered() -> None:
    assert set(registry.names("backbone")) >= LARGE


def is_quick(combination: tuple[str, str, str]) -> bool:
    return combination in QUICK or (combination[0] != "timm" and combination[0] not in LARGE)


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
UNEVEN = [(head, "ssd_boxes") for head in ("atss", "fcos", "retinanet")]


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
        for argument in arguments(registry.get("head", "dense")).values():
            slot = argument.slot
            used = slot and node[argument.name]
            for name in registry.names(slot.family) if used else []:
                space = getattr(registry.get(slot.family, name), "space", None)
                if (not slot.space or space in slot.space) and (head, name) not in UNEVEN:
                    found.append((head, argument.name, name))
    return found


def space_of(loss: str) -> str:
    return getattr(registry.get("loss", loss), "space", "")


def one_head_for_each_part() -> list[Any]:
    """The choices, all but one of each slot and part marked slow.

    tests/heads puts every part into every head; what is added here is that assembly wires it.
    """
    heads = itertools.cycle(HEADS)
    choices = slot_choices()
    by_part = sorted({(slot, name) for _, slot, name in choices})
    default = set()
    for slot, name in by_part:
        admitting = {head for head, *part in choices if part == [slot, name]}
        default.add((next(head for head in heads if head in admitting), slot, name))
    return [pytest.param(*c, marks=() if c in default else pytest.mark.slow) for c in choices]


@pytest.mark.parametrize(("head", "slot", "name"), one_head_for_each_part())
def test_every_part_fits_every_slot_that_admits_it(head: str, slot: str, name: str) -> None:
    torch.manual_seed(0)
    others: dict[str, Any] = {}
    # Distributions go with losses of boxes and of themselves; all else is refused, see below.
    if head == "yolo_free" and slot == "box_coder" and name != "distribution":
        others = {"distribution_loss": None}
    elif slot == "box_coder" and name == "distribution":
        others = {"box_loss": {"name": "giou"}}
    elif head == "yolo_free" and slot == "box_loss" and space_of(name) == "codes":
        others = {"distribution_loss": None, "box_coder": {"name": "distance"}}
    elif slot == "layers" and name in ("decoupled", "rpn", "ssd"):
        others = {"quality_target": None, "quality_loss": None}
    if slot == "layers" and name in ("rpn", "towers") and head in ("ssd", "ssdlite"):
        others = {**others, "priors": {"name": "anchors"}}
    detector = build("timm", "fpn", head, **{slot: {"name": name}}, **others)
    batch = batch_of(objects(), Target.empty())
    require_trainable(detector, batch)
    with torch.no_grad():
        assert len(detector.eval().predict(batch)) == 2


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
    assert set(matched[0].tolist()) == {-1, 0, 1}
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
