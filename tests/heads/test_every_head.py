"""Contract of every registered head; any part fits into any head."""

from contextlib import nullcontext

import pytest
import torch
from contract_cases import each_promise
from covering import pairs_first
from head_pages import CONNECTED, is_dense, small_values
from second_parts import LAYERS_WITHOUT_SECOND_PRIORS, with_second_parts

from detkit import registry
from detkit.config.pages import filled
from detkit.config.part_pages import page_names
from detkit.config.signatures import arguments
from detkit.errors import UserError
from detkit.ops.selection import fixed_shapes
from detkit.structures import PaddedTargets, Target

PAGES = page_names("head")
HEADS = [name for name in PAGES if is_dense(name)]
SIZES = [(8, 12), (4, 6), (2, 3)]
IMAGE_SIZES = [(64, 96), (60, 80)]
each_head = pytest.mark.parametrize("name", HEADS)


def features(count=2):
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(2, 8, *size, generator=generator) for size in SIZES]
    return [level[:count] for level in maps]


def objects():
    first = Target(
        torch.tensor([[4.0, 4, 30, 34], [40, 10, 90, 60], [50, 40, 60, 50]]),
        torch.tensor([0, 2, 1]),
        torch.tensor([False, False, True]),
    )
    second = Target(torch.tensor([[10.0, 10, 50, 50]]), torch.tensor([1]), torch.tensor([False]))
    return [first, second]


def total(losses):
    return torch.stack(list(losses.values())).sum()


def assert_all_learn(module):
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


# The parts of these pages are those of other heads, or have tests of their own.
LIKE_OTHERS = {"atss", "ssdlite", "yolov3", "yolov4"}


@each_promise(
    "head",
    names=PAGES,
    needed={name: small_values(name) for name in PAGES},
    quick=set(PAGES) - LIKE_OTHERS,
)
# pain 14, pain 15
def test_a_head_keeps_its_contract(case):
    case()


@each_promise("layers", needed={"yolov1": {"image_size": [96, 128], "local_channels": 4}})
def test_layers_keep_their_contract(case):
    case()


@each_promise("proposer", exported=["rpn"])
def test_a_proposer_keeps_its_contract(case):
    case()


@each_promise("quality_target")
def test_a_quality_target_keeps_its_contract(case):
    case()


@each_head
def test_without_any_object_that_counts_it_learns_background(build_head, name):
    crowd = [Target(t.boxes, t.labels, torch.ones(len(t), dtype=torch.bool)) for t in objects()]
    head = build_head(name, sampler={"name": "keep_all"})
    losses = head.loss(features(), PaddedTargets.of(crowd))
    assert losses["loss/box"] == 0
    assert 0 < total(losses) < total(head.loss(features(), PaddedTargets.of([Target.empty()] * 2)))


@each_head
def test_a_few_steps_lower_the_loss(build_head, name):
    torch.manual_seed(0)
    head = build_head(name)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.01)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        losses.append(total(head.loss(features(), PaddedTargets.of(objects()))))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0]


def slots_of(name):
    """Every part of every slot of a head, one at a time."""
    node = filled("head", name)
    for argument in arguments(registry.get("head", node["name"])).values():
        slot = argument.slot
        used = slot and slot.family != "neck" and node[argument.name]
        for part in registry.names(slot.family) if used else []:
            space = getattr(registry.get(slot.family, part), "space", None)
            if part != "corner_variance" and (not slot.space or space in slot.space):
                yield argument.name, part


# Coders whose codes a dense head can learn.
CODERS = [name for name in registry.names("box_coder") if name != "corner_variance"]
CODE_LOSSES = [
    loss
    for loss in registry.names("loss")
    if getattr(registry.get("loss", loss), "space", None) == "codes"
]


def with_what_it_needs(name, parts):
    """Distributions need a loss of boxes, some layers a head without quality or equal priors."""
    layers = parts.get("layers")
    if layers in ("decoupled", "rpn", "ssd") and "quality_target" in filled("head", name):
        parts = {"quality_target": None, "quality_loss": None, **parts}
    if layers in ("rpn", "towers") and name in ("ssd", "ssdlite"):
        parts = {"priors": "anchors", **parts}
    coder = parts.get("box_coder", "distribution" if name == "yolo_free" else "")
    if coder == "distribution" and parts.get("box_loss") in CODE_LOSSES:
        parts = {**parts, "box_coder": "distance"}
    elif coder == "distribution":
        parts = {"box_loss": "giou", **parts}
    if name == "yolo_free" and parts.get("box_coder", "distribution") != "distribution":
        return {**parts, "distribution_loss": None}
    return parts


def as_nodes(name, parts):
    nodes = {slot: part and {"name": part} for slot, part in parts.items()}
    for slot in [slot for slot in nodes if slot.endswith("layers") and parts[slot] == "yolov1"]:
        nodes[slot] |= CONNECTED
    return with_second_parts(name, nodes)


SWAPS = [(name, slot, part) for name in HEADS for slot, part in slots_of(name)]
SWAPS.remove(LAYERS_WITHOUT_SECOND_PRIORS)


# By default test_combinations.py builds each part in each slot, from whole configurations.
@pytest.mark.slow
@pytest.mark.parametrize("swap", SWAPS, ids="-".join)
def test_any_part_fits_into_any_head(build_head, swap):
    name, slot, part = swap
    head = build_head(name, **as_nodes(name, with_what_it_needs(name, {slot: part})))
    for targets in (objects(), [Target.empty()] * 2):
        loss = total(head.loss(features(), PaddedTargets.of(targets)))
        assert loss.isfinite()
        head.zero_grad()
        loss.backward()
        assert_all_learn(head)
    assert len(head.predict(features(), torch.tensor(IMAGE_SIZES).float()).split()) == 2


COMBINATIONS = [
    (name, coder, loss, priors, assigner)
    for name in HEADS
    for coder in CODERS
    for loss in ("l1", "giou")
    for priors in registry.names("priors")
    for assigner in registry.names("assigner")
    if (coder, loss) != ("distribution", "l1")
]


SLOTS = ("box_coder", "box_loss", "priors", "assigner")


@pytest.mark.parametrize("choice", pairs_first(COMBINATIONS), ids="-".join)
def test_parts_that_touch_each_other_combine(build_head, choice):
    name, *chosen = choice
    parts = dict(zip(SLOTS, chosen, strict=True))
    head = build_head(name, **as_nodes(name, with_what_it_needs(name, parts)))
    loss = total(head.loss(features(), PaddedTargets.of(objects())))
    loss.backward()
    assert loss.isfinite()
    assert_all_learn(head)


@each_head
@pytest.mark.parametrize("loss", CODE_LOSSES)
def test_losses_of_codes_do_not_compare_distributions(build_head, name, loss):
    with pytest.raises(UserError, match="are logits, whose differences mean nothing"):
        build_head(name, box_coder={"name": "distribution"}, box_loss={"name": loss})


@each_head
def test_fixed_shapes_give_the_same_losses_and_gradients(build_head, name):
    torch.manual_seed(0)
    head, targets = build_head(name), PaddedTargets.of(objects())
    results = []
    for context in (nullcontext, fixed_shapes):
        head.zero_grad()
        torch.manual_seed(1)
        with context():
            losses = head.loss(features(), targets)
        total(losses).backward()
        results.append([*losses.values(), *(p.grad for p in head.parameters())])
    torch.testing.assert_close(results[1], results[0])


@each_head
def test_a_dense_head_refuses_codes_with_variances(build_head, name):
    with pytest.raises(UserError, match="hold variances, which only box_loss 'kl' learns"):
        build_head(name, box_coder={"name": "corner_variance"}, box_loss={"name": "giou"})
