"""Any part fits a two-stage detector where it can; grows by itself with the registry."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from test_combinations import (
    CLASSES,
    SMALL_CONNECTED_LAYERS,
    batch_of,
    node,
    objects,
    require_trainable,
)
from torch import nn

from detkit import assembly, registry
from detkit.config.pages import filled
from detkit.config.signatures import arguments
from detkit.errors import UserError
from detkit.structures import Batch, Regions, Target

# Parts that differ between levels, which an RPN cannot: it shares its layers over all of them.
UNEQUAL_LEVELS = {"ssd_boxes"}
OF_CROPS = {"crop_network"}  # needs crops of the image, which tests/roi_heads/test_rcnn.py has
SMALL_HEADS = {
    "box_head": {"two_fc": {"width": 16}, "four_conv_one_fc": {"channels": 8, "width": 16}},
    "layers": {"yolov1": SMALL_CONNECTED_LAYERS},
    "mask_head": {"conv": {"channels": 8}},
    "pooling": {"warped_crop": {"size": 15, "context": 1}},
}
FEW = {"max_candidates": 40, "max_detections": 30}


def build(proposer: str = "rpn", roi_head: str = "standard", **changes: Any) -> nn.Module:
    """A small two-stage detector; `proposer_values` and `roi_values` change its parts."""
    nms = {"name": "nms", "score_threshold": 0.0, "iou_threshold": 0.7, **FEW}
    learns = getattr(registry.get("proposer", proposer), "learns", True)
    proposing: dict[str, Any]
    proposing = {"postprocess": nms, "training_postprocess": nms} if learns else {}
    proposing |= {"sizes": (0.4, 0.8)} if proposer == "grid" else {}
    looking = {"box_head": {"name": "two_fc", "width": 16}}
    parts = {
        "backbone": node("backbone", "timm"),
        "neck": node("neck", "fpn", extra="pool"),
        "proposer": filled(
            "proposer", {"name": proposer, **proposing, **changes.get("proposer_values", {})}
        ),
        "roi_head": filled(
            "roi_head", {"name": roi_head, **looking, **changes.get("roi_values", {})}
        ),
    }
    return assembly.build_detector(filled("detector", {"name": "two_stage", **parts}), CLASSES)


def proposed(*targets: Target) -> Batch:
    """A batch whose images come with regions, which most proposers leave alone."""
    regions = torch.tensor([[4.0, 6.0, 38.0, 40.0], [30.0, 2.0, 60.0, 50.0]])
    return replace(batch_of(*targets), proposals=Regions.of([regions, regions[:1]]))


def require_working(detector: nn.Module) -> None:
    batch = proposed(objects(), Target.empty())
    require_trainable(detector, batch)
    detector.zero_grad()
    require_trainable(detector, proposed(Target.empty(), Target.empty()))  # pains 14 and 15
    found = detector.eval().predict(batch)
    for detections, (height, width) in zip(found, batch.original_sizes, strict=True):
        assert (detections.boxes >= 0).all()
        assert (detections.boxes[:, [0, 2]] <= width).all()
        assert (detections.boxes[:, [1, 3]] <= height).all()
        assert (detections.labels < len(CLASSES.names)).all()


PAIRS = list(itertools.product(registry.names("proposer"), registry.names("roi_head")))


# pain 14, pain 15
@pytest.mark.parametrize(("proposer", "roi_head"), PAIRS)
def test_every_pair_trains_and_predicts_with_and_without_objects(
    proposer: str, roi_head: str
) -> None:
    torch.manual_seed(0)
    require_working(build(proposer, roi_head))


def choices(family: str) -> list[tuple[str, str, str]]:
    """Every part that fits a slot of a proposer or roi head, by owner, slot and name."""
    found = []
    for owner in registry.names(family):
        for argument in arguments(registry.get(family, owner)).values():
            slot = argument.slot
            for name in registry.names(slot.family) if slot else []:
                space = getattr(registry.get(slot.family, name), "space", None)
                fits = name not in UNEQUAL_LEVELS | OF_CROPS
                fits &= family == "roi_head" or name != "corner_variance"
                if (not slot.space or space in slot.space) and fits:
                    found.append((owner, argument.name, name))
    return found


def values_of(slot: str, name: str) -> dict[str, Any]:
    """A part with what keeps it small."""
    small = SMALL_HEADS.get(slot, {}).get(name, {})
    limits = FEW if "postprocess" in slot else {}
    taken = arguments(registry.get("postprocess", name)) if limits else {}
    return {"name": name, **small, **{key: n for key, n in limits.items() if key in taken}}


def require_fitting(family: str, owner: str, parts: dict[str, str]) -> None:
    torch.manual_seed(0)
    values: dict[str, Any] = {slot: values_of(slot, name) for slot, name in parts.items()}
    if "distribution" in parts.values():  # which only losses of boxes take
        values["box_loss"] = {"name": "giou"}
    if not {"kl", "corner_variance"}.isdisjoint(parts.values()):  # which need each other
        slots = arguments(registry.get(family, owner))
        coders = [slot for slot in slots if slot.endswith("box_coder")]
        values |= {slot: {"name": "corner_variance"} for slot in coders}
        values["box_loss"] = {"name": "kl"}
    changed = "proposer_values" if family == "proposer" else "roi_values"
    require_working(build(**{family: owner, changed: values}))


CHOICES = [(family, *row) for family in ("proposer", "roi_head") for row in choices(family)]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "owner", "slot", "name"), CHOICES)
def test_every_part_fits_every_slot_alone(family: str, owner: str, slot: str, name: str) -> None:
    require_fitting(family, owner, {slot: name})


def rows_with_each_part() -> list[tuple[str, str, dict[str, str]]]:
    """All slots of an owner change at once; each part occurs in each slot that admits it."""
    rows = []
    for family, owner in dict.fromkeys(choice[:2] for choice in CHOICES):
        parts: dict[str, list[str]] = {}
        for _, _, slot, name in (choice for choice in CHOICES if choice[:2] == (family, owner)):
            parts.setdefault(slot, []).append(name)
        coders = [slot for slot in parts if slot.endswith("box_coder")]
        rows.append((family, owner, dict.fromkeys(coders, "distribution")))
        others = {
            slot: [name for name in names if name != "distribution"]
            for slot, names in parts.items()
        }
        for position in range(max(map(len, others.values()))):
            row = {slot: names[position % len(names)] for slot, names in others.items()}
            rows.append((family, owner, row))
    return rows


# A cascade has stages of a standard head; the bilateral head has a loss with one more argument.
ROWS = [
    pytest.param(*row, marks=pytest.mark.slow) if row[1] in ("bilateral", "cascade") else row
    for row in rows_with_each_part()
]


@pytest.mark.parametrize(("family", "owner", "parts"), ROWS)
def test_every_part_fits_every_slot(family: str, owner: str, parts: dict[str, str]) -> None:
    require_fitting(family, owner, parts)


def test_regions_of_levels_that_differ_in_channels_are_refused_with_their_place() -> None:
    parts = {
        "backbone": node("backbone", "timm"),
        "neck": node("neck", "spp"),
        "proposer": filled("proposer", {"name": "rpn"}),
        "roi_head": filled("roi_head", {"name": "standard"}),
    }
    model = filled("detector", {"name": "two_stage", **parts})
    with pytest.raises(UserError, match=r"model\.proposer\.layers: .*same channels on each"):
        assembly.build_detector(model, CLASSES)


def test_nothing_proposed_is_nothing_detected() -> None:
    nms = {"name": "nms", "score_threshold": 1.0}
    values = {"postprocess": nms, "training_postprocess": nms}
    for roi_head in registry.names("roi_head"):
        detector = build(roi_head=roi_head, proposer_values=values)
        require_working(detector)
        found = detector.predict(batch_of(objects(), Target.empty()))
        assert [len(image.scores) for image in found] == [0, 0]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"box_coder": "corner_variance"}, "set box_loss=kl, or choose another box_coder"),
        ({"box_loss": "kl"}, "set box_coder=corner_variance, or choose another box_loss"),
    ],
)
def test_variances_and_their_loss_need_each_other(parts: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(roi_values={slot: {"name": name} for slot, name in parts.items()})
