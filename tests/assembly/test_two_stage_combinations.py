"""Any part fits a two-stage detector where it can; grows by itself with the registry."""

import itertools
from typing import Any

import pytest
import torch
from test_combinations import CLASSES, batch_of, node, objects, require_trainable
from torch import nn

from detkit import assembly, registry
from detkit.config.pages import filled
from detkit.config.signatures import arguments
from detkit.errors import UserError
from detkit.structures import Target

# Parts that differ between levels, which an RPN cannot: it shares its layers over all of them.
UNEQUAL_LEVELS = {"ssd_boxes"}
SMALL_BOX_HEADS = {
    "two_fc": {"width": 16},
    "four_conv_one_fc": {"channels": 8, "width": 16},
}
FEW = {"max_candidates": 40, "max_detections": 30}


def build(proposer: str = "rpn", roi_head: str = "standard", **changes: Any) -> nn.Module:
    """A small two-stage detector; `proposer_values` and `roi_values` change its parts."""
    nms = {"name": "nms", "score_threshold": 0.0, "iou_threshold": 0.7, **FEW}
    proposing = {"postprocess": nms, "training_postprocess": nms}
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


def require_working(detector: nn.Module) -> None:
    batch = batch_of(objects(), Target.empty())
    require_trainable(detector, batch)
    detector.zero_grad()
    require_trainable(detector, batch_of(Target.empty(), Target.empty()))  # pains 14 and 15
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
                if (not slot.space or space in slot.space) and name not in UNEQUAL_LEVELS:
                    found.append((owner, argument.name, name))
    return found


@pytest.mark.parametrize(("owner", "slot", "name"), choices("proposer"))
def test_every_part_fits_every_slot_of_a_proposer(owner: str, slot: str, name: str) -> None:
    torch.manual_seed(0)
    few = FEW if "postprocess" in slot and name != "none" else {}
    few = {key: v for key, v in few.items() if key in arguments(registry.get("postprocess", name))}
    others = {"box_loss": {"name": "giou"}} if name == "distribution" else {}
    require_working(build(owner, proposer_values={slot: {"name": name, **few}, **others}))


def one_owner_for_each_part(family: str) -> list[Any]:
    """The choices; of those with the same slot and part, all but one are marked slow."""
    owners = itertools.cycle(registry.names(family))
    rows = choices(family)
    default = set()
    for slot, name in sorted({(slot, name) for _, slot, name in rows}):
        admitting = {owner for owner, *part in rows if part == [slot, name]}
        default.add((next(owner for owner in owners if owner in admitting), slot, name))
    return [pytest.param(*row, marks=() if row in default else pytest.mark.slow) for row in rows]


@pytest.mark.parametrize(("owner", "slot", "name"), one_owner_for_each_part("roi_head"))
def test_every_part_fits_every_slot_of_a_roi_head(owner: str, slot: str, name: str) -> None:
    torch.manual_seed(0)
    values = {"name": name, **(SMALL_BOX_HEADS.get(name, {}) if slot == "box_head" else {})}
    others = {"box_loss": {"name": "giou"}} if name == "distribution" else {}
    require_working(build(roi_head=owner, roi_values={slot: values, **others}))


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
