"""Contract of every registered roi head."""

import pytest
import torch
from contract_cases import each_promise

from detkit import assembly, registry
from detkit.config.pages import filled
from detkit.errors import UserError
from detkit.ops.selection import fixed_shapes
from detkit.structures import ClassCounts, FeatureSpec, PaddedTargets, Regions, Target

SPECS = [FeatureSpec(4, 8), FeatureSpec(4, 16)]
SIZES = torch.tensor([[64.0, 96.0], [60.0, 80.0]])
COUNTS = ClassCounts(images=9, images_with_class=[9, 3, 1], objects=[30, 10, 1])
WIRING = {
    "feature_specs": SPECS,
    "num_classes": 3,
    "class_names": ["a", "b", "c"],
    "class_counts": COUNTS,
}
# The bilateral head is a standard head whose classification loss has one more argument.
SLOW = pytest.param("bilateral", marks=pytest.mark.slow)
each_stage = pytest.mark.parametrize("name", [SLOW, "cascade", "standard"])
each_roi_head = pytest.mark.parametrize("name", registry.names("roi_head"))


def build(name, **values):
    torch.manual_seed(0)
    small = {"box_head": {"name": "two_fc", "width": 16}, "sampler": {"name": "keep_all"}}
    node = filled("roi_head", {"name": name, **small, **values})
    return assembly.build("roi_head", node, WIRING, ("model", "roi_head"))


def features(count=2):
    generator = torch.Generator().manual_seed(0)
    sizes = [(8, 12), (4, 6)]
    return [torch.randn(2, 4, *size, generator=generator)[:count] for size in sizes]


def regions():
    first = torch.tensor([[2.0, 2, 30, 30], [40, 10, 90, 60], [10, 10, 12, 50]])
    return [first, torch.tensor([[10.0, 8, 52, 50]])]


def learn(head, image_regions=None, targets=None):
    """The losses of regions and objects, given image by image."""
    return head.loss(
        features(),
        Regions.of(regions() if image_regions is None else image_regions),
        PaddedTargets.of(objects() if targets is None else targets),
        SIZES,
    )


def objects():
    boxes = torch.tensor([[4.0, 4, 30, 34], [40, 10, 90, 60], [50, 40, 60, 50]])
    ignored = torch.tensor([False, False, True])
    first = Target(boxes, torch.tensor([0, 2, 1]), ignored)
    second = Target(torch.tensor([[10.0, 10, 50, 50]]), torch.tensor([1]), torch.tensor([False]))
    return [first, second]


def total(losses):
    return torch.stack(list(losses.values())).sum()


def require_learning(module):
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


SMALL = {"box_head": {"name": "two_fc", "width": 16}}


@each_promise("roi_head", needed=dict.fromkeys(registry.names("roi_head"), SMALL))
def test_a_roi_head_keeps_its_contract(case):
    case()


# pain 14, pain 15
@each_stage
@pytest.mark.parametrize("empty", [[], [0], [1], [0, 1]])
@pytest.mark.parametrize("proposed", [[0, 1], [0], []])
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_without_objects_or_regions_all_is_finite(name, empty, proposed, norm):
    box_head = {"name": "four_conv_one_fc", "channels": 8, "width": 8, "norm": norm}
    head = build(name, box_head=box_head)
    targets = [Target.empty() if i in empty else t for i, t in enumerate(objects())]
    given = [r if i in proposed else torch.zeros(0, 4) for i, r in enumerate(regions())]
    loss = total(learn(head, given, targets))
    assert loss.isfinite()
    loss.backward()
    require_learning(head)
    assert all(value.isfinite().all() for value in head.state_dict().values())


@each_roi_head
def test_detections_with_a_short_side_are_dropped(name):
    values = {"postprocess": {"name": "nms", "score_threshold": 0.0, "iou_threshold": 1.0}}
    given = [torch.tensor([[0.0, 0, 40, 40], [200, 0, 240, 40]]), torch.zeros(0, 4)]
    found = build(name, **values).predict(features(), Regions.of(given), SIZES).split()[0]
    assert len(found.scores) == 3  # a box for each class; the other region is outside the image
    assert found.boxes.max() < 60


@each_roi_head
def test_a_few_steps_lower_the_loss(name):
    head = build(name)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        losses.append(total(learn(head)))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("class_agnostic", [False, True])
def test_a_standard_head_has_a_box_for_each_class_or_one_for_all(class_agnostic):
    head = build("standard", class_agnostic=class_agnostic)
    boxes = 1 if class_agnostic else 3
    assert head.stage.box_layer.weight.shape == (4 * boxes, 16)
    assert head(features(), Regions.of(regions()), SIZES).boxes.shape == (2, 3, boxes, 4)


def test_each_class_is_detected_at_its_own_box():
    head = build("standard", postprocess={"name": "nms", "score_threshold": 0.2})
    with torch.no_grad():
        head.stage.class_layer.weight.zero_()
        head.stage.box_layer.weight.zero_()
        # All three classes are likely; the second moves its box by a tenth of its side, 4 pixels.
        head.stage.class_layer.bias.copy_(torch.tensor([1.0, 2, 1, 0]))
        head.stage.box_layer.bias.copy_(torch.tensor([0.0, 1, 0, *[0] * 9]))
    given = [torch.tensor([[0.0, 0, 40, 40]]), torch.zeros(0, 4)]
    found = head.predict(features(), Regions.of(given), SIZES).split()[0]
    assert found.labels[0] == 1
    torch.testing.assert_close(found.boxes[0], torch.tensor([4.0, 0, 44, 40]))
    head.postprocess.score_threshold = 0.1
    others = head.predict(features(), Regions.of(given), SIZES).split()[0]
    assert sorted(others.labels.tolist()) == [0, 1, 2]
    assert others.boxes[1].tolist() == others.boxes[2].tolist() == [0, 0, 40, 40]


@each_roi_head
def test_losses_of_codes_do_not_compare_distributions(name):
    slot = "second_box_coder" if name == "cascade" else "box_coder"
    with pytest.raises(UserError, match="are logits, whose differences mean nothing"):
        build(name, **{slot: {"name": "distribution"}})


@each_stage
@pytest.mark.parametrize("assigner", registry.names("assigner"))
@pytest.mark.parametrize("sampler", registry.names("sampler"))
def test_assigners_and_samplers_combine(name, assigner, sampler):
    slot = "second_assigner" if name == "cascade" else "assigner"
    head = build(name, **{slot: {"name": assigner}, "sampler": {"name": sampler}})
    loss = total(learn(head))
    assert loss.isfinite()
    loss.backward()
    require_learning(head)


@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "ghm_c"])
def test_ranking_leaves_no_trace_in_averages(loss):
    box_head = {"name": "four_conv_one_fc", "channels": 8, "width": 8, "norm": "batch"}
    head = build(
        "standard", box_head=box_head, sampler={"name": "ohem"}, classification_loss={"name": loss}
    )
    learn(head)
    buffers = dict(head.named_buffers())
    steps = [value.item() for name, value in buffers.items() if name.endswith("batches_tracked")]
    assert steps == [1] * len(steps)
    assert len(steps) == 4


def losses_gradients_and_detections(name, **values):
    head = build(name, postprocess={"name": "nms", "score_threshold": 0.2}, **values)
    torch.manual_seed(1)
    losses = learn(head)
    total(losses).backward()
    gradients = [parameter.grad for parameter in head.parameters()]
    return losses, gradients, head.predict(features(), Regions.of(regions()), SIZES).split()


# Row by row on a CPU, with padding on accelerators and in graphs.
@each_stage
@pytest.mark.parametrize("sampler", ["keep_all", "random_balanced", "ohem"])
@pytest.mark.parametrize("box_loss", ["smooth_l1", "giou"])
def test_accelerators_compute_the_same(name, sampler, box_loss):
    values = {"sampler": {"name": sampler}, "box_loss": {"name": box_loss}}
    expected = losses_gradients_and_detections(name, **values)
    with fixed_shapes():
        torch.testing.assert_close(losses_gradients_and_detections(name, **values), expected)


@each_roi_head
def test_padding_between_regions_changes_nothing(name):
    head, dense = build(name), Regions.of(regions())
    sparse = Regions(*(torch.stack([f, torch.zeros_like(f)], 2).flatten(1, 2) for f in dense))
    targets = PaddedTargets.of(objects())
    expected, losses = (head.loss(features(), r, targets, SIZES) for r in (dense, sparse))
    torch.testing.assert_close(losses, expected)
