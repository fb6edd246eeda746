"""Corner heads: targets, losses and pairs by hand."""

import math

import pytest
import torch
from torch.testing import assert_close

from detkit.errors import UserError
from detkit.heads.corner_layers import CornerMaps
from detkit.heads.corner_losses import heat_losses, pull_and_push_losses
from detkit.heads.corner_pairing import best_corners, pair_corners
from detkit.heads.corner_targets import corner_targets, gaussian_radius
from detkit.structures import BACKGROUND, IGNORED, FeatureSpec, PaddedTargets, Target

SIZE = (12, 16)  # cells of 4 pixels
EMPTY = -20.0  # logit of cells without a corner


def targets(*boxes, labels=None, ignored=None):
    count = len(boxes)
    table = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    labels = torch.tensor(labels or [0] * count)
    return Target(table, labels, torch.tensor(ignored or [False] * count, dtype=torch.bool))


def built(*images, classes=2):
    return corner_targets(
        PaddedTargets.of(images), SIZE, stride=4, num_classes=classes, min_overlap=0.3
    )


def test_radii_of_a_square_by_hand():
    # Both corners inwards: (10 - 2r)^2 = 30. Both outwards: (10 + 2r)^2 = 100 / 0.3 has r = 4.1;
    # one each way: (10 - r)^2 = 0.3 * (200 - (10 - r)^2) has r = 3.2.
    radius = gaussian_radius(torch.tensor([10.0, 10.0]), 0.3)
    assert float(radius) == pytest.approx((10 - math.sqrt(30)) / 2)


@pytest.mark.parametrize("sides", [(10.0, 10.0), (3.0, 40.0), (25.0, 7.0)])
@pytest.mark.parametrize("overlap", [0.3, 0.7])
def test_a_box_whose_corners_move_by_the_radius_keeps_the_overlap(sides, overlap):
    width, height = sides
    r = float(gaussian_radius(torch.tensor(sides), overlap))
    area = width * height
    inwards = (width - 2 * r) * (height - 2 * r) / area
    outwards = area / ((width + 2 * r) * (height + 2 * r))
    shared = (width - r) * (height - r)
    least = min(inwards, outwards, shared / (2 * area - shared))
    assert least == pytest.approx(overlap)


def test_targets_of_an_object_by_hand():
    heat, cells, offsets = built(targets([5.0, 9, 45, 33], labels=[1]))
    assert cells[0, :, 0].tolist() == [2 * 16 + 1, 8 * 16 + 11]
    assert offsets[0, :, 0].tolist() == [[0.25, 0.25], [0.25, 0.25]]
    assert heat[0, :, 0].count_nonzero() == 0
    # 10 x 6 cells have a radius of 1.65, so 1: 3 x 3 cells with a deviation of half a cell.
    around = heat[0, 0, 1, 1:4, 0:3]
    beside, diagonal = math.exp(-2), math.exp(-4)
    assert_close(
        around,
        torch.tensor(
            [
                [diagonal, beside, diagonal],
                [beside, 1.0, beside],
                [diagonal, beside, diagonal],
            ]
        ),
    )
    assert heat[0, 0].count_nonzero() == 9


def test_heat_of_several_objects_of_a_class_is_the_highest():
    one, other = [4.0, 4, 40, 40], [8.0, 4, 44, 40]
    both = built(targets(one, other)).heat
    assert torch.equal(both, built(targets(one)).heat.maximum(built(targets(other)).heat))


def test_padding_has_no_heat():
    images = targets([4.0, 4, 40, 40], [8.0, 4, 44, 40]), targets()
    heat = built(*images).heat
    assert torch.equal(heat[:1], built(images[0]).heat)
    assert heat[1].count_nonzero() == 0


def test_corners_at_the_edge_are_in_the_last_cell():
    _, cells, offsets = built(targets([0.0, 0, 64, 48]))
    assert cells[0, :, 0].tolist() == [0, 12 * 16 - 1]
    assert offsets[0, :, 0].tolist() == [[0, 0], [1, 1]]


def test_losses_of_heat_maps_by_hand():
    logits = torch.tensor([2.0, 2.0, -1.0], dtype=torch.float64)
    losses = heat_losses(logits, torch.tensor([1.0, 0.5, 0.0]).double(), alpha=2.0, beta=4.0)
    p, q = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(1))
    expected = [
        (1 - p) ** 2 * -math.log(p),
        0.5**4 * p**2 * -math.log(1 - p),
        q**2 * -math.log(1 - q),
    ]
    assert losses.tolist() == pytest.approx(expected)


def test_extreme_logits_of_heat_maps_have_finite_losses_and_gradients():
    logits = torch.tensor([-300.0, 300.0, 300.0, -300.0]).requires_grad_()
    losses = heat_losses(logits, torch.tensor([1.0, 1.0, 0.0, 0.0]), alpha=2.0, beta=4.0)
    assert losses.tolist() == pytest.approx([300, 0, 300, 0])
    losses.sum().backward()
    assert logits.grad.isfinite().all()


def test_pull_and_push_losses_by_hand():
    top_left, bottom_right = [0.0, 1.0, 5.0], [0.4, 1.0, 5.5]
    embeddings = torch.tensor([[top_left, bottom_right]] * 3)
    mask = torch.tensor([[True, True, True], [True, False, False], [False] * 3])
    pull, push = pull_and_push_losses(embeddings, mask, 1.0)
    # Means 0.2, 1 and 5.25: the first two are 0.8 apart, so they cost 0.2, twice among six pairs.
    assert pull.tolist() == pytest.approx([(2 * 0.2**2 + 2 * 0.25**2) / 3, 2 * 0.2**2, 0])
    assert push.tolist() == pytest.approx([2 * 0.2 / 6, 0, 0])


def maps_of(*corners, classes=2):
    """Maps with corners: kind, class, row, column, logit, embedding, offset in x and in y."""
    logits = torch.full((1, 2, classes, *SIZE), EMPTY)
    embeddings, offsets = torch.zeros(1, 2, *SIZE), torch.zeros(1, 2, 2, *SIZE)
    for kind, label, row, column, logit, embedding, x, y in corners:
        logits[0, kind, label, row, column] = logit
        embeddings[0, kind, row, column] = embedding
        offsets[0, kind, :, row, column] = torch.tensor([x, y])
    return CornerMaps(logits, embeddings, offsets)


def pairs_of(*corners, size=(48.0, 64.0)):
    found = best_corners(maps_of(*corners), 5)
    sizes = torch.tensor([size])
    boxes, scores, labels = pair_corners(found, stride=4, image_sizes=sizes, distance=0.5, limit=10)
    exists = scores > 0.1
    return boxes[exists].tolist(), scores[exists].tolist(), labels[exists].tolist()


FIRST = (0, 1, 2, 3, 0.0, 1.0, 0.25, 0.5)  # (13, 10) with a score of 0.5
SECOND = (1, 1, 8, 10, math.log(3), 1.4, 0.0, 0.75)  # (40, 35) with a score of 0.75


def test_a_pair_of_corners_is_a_box_with_their_mean_score():
    boxes, scores, labels = pairs_of(FIRST, SECOND)
    assert boxes == [[13, 10, 40, 35]]
    assert scores == pytest.approx([0.625])
    assert labels == [1]


@pytest.mark.parametrize(
    "second",
    [
        (1, 0, 8, 10, 0.0, 1.0, 0.0, 0.0),  # of another class
        (1, 1, 8, 10, 0.0, 1.6, 0.0, 0.0),  # of another object
        (1, 1, 8, 2, 0.0, 1.0, 0.0, 0.0),  # left of the first
        (1, 1, 1, 10, 0.0, 1.0, 0.0, 0.0),  # above the first
        (0, 1, 8, 10, 0.0, 1.0, 0.0, 0.0),  # of the same kind
    ],
)
def test_corners_that_do_not_belong_together_are_no_pair(second):
    assert pairs_of(FIRST, second) == ([], [], [])


def test_a_corner_beside_a_higher_one_is_no_corner():
    lower = (0, 1, 3, 3, -0.5, 1.0, 0.0, 0.0)
    boxes, _, _ = pairs_of(FIRST, lower, SECOND)
    assert boxes == [[13, 10, 40, 35]]


def test_boxes_end_at_the_image_and_none_is_outside():
    boxes, _, _ = pairs_of(FIRST, SECOND, size=(30.0, 64.0))
    assert boxes == [[13, 10, 40, 30]]
    assert pairs_of(FIRST, SECOND, size=(8.0, 64.0)) == ([], [], [])


SPECS = [FeatureSpec(8, 4), FeatureSpec(8, 4)]


def features(count=2):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(count, 8, *SIZE, generator=generator) for _ in SPECS]


def objects():
    crowd = targets([8.0, 8, 40, 40], [4.0, 4, 30, 34], ignored=[True, False])
    return PaddedTargets.of([crowd, targets()])


def test_losses_are_means_over_the_maps(build_head):
    head = build_head("cornernet").eval()
    both = head.loss(features(), objects())
    first, second = head.layers.stacks
    for name in both:
        values = []
        for stack, feature in zip((first, second), features(), strict=True):
            head.layers.stacks = torch.nn.ModuleList([stack])
            values.append(head.loss([feature], objects())[name])
        assert_close(both[name], torch.stack(values).mean())


def test_background_in_ignored_objects_does_not_count(build_head):
    head = build_head("cornernet").eval()
    crowd = objects()
    alone = crowd._replace(
        ignored_boxes=torch.zeros(2, 0, 4), ignored_mask=torch.zeros(2, 0, dtype=torch.bool)
    )
    cells = head._counted(features(), crowd)[0, 0, 0]
    assert not cells[2:10, 2:10].any()
    assert cells.sum() == 12 * 16 - 8 * 8
    assert (
        head.loss(features(), crowd)["loss/classification"]
        < (head.loss(features(), alone)["loss/classification"])
    )


def test_an_image_without_objects_counts_in_the_divisor(build_head):
    head = build_head("cornernet", empty_image=10.0)
    head.loss(features(), objects())
    assert head.divisors.counts.tolist() == [11, 1]  # of heat maps and offsets, of embeddings
    assert_close(head.count([SIZE, SIZE], objects()), head.divisors.counts)


def test_assigned_cells_hold_the_corners(build_head):
    cells, matched = build_head("cornernet").assign(features(), objects())
    assert cells.boxes[matched[0] == 0].tolist() == [[4, 4, 8, 8], [28, 32, 32, 36]]
    assert cells.level[matched[0] == 0].tolist() == [0, 1]
    assert set(matched[0].tolist()) == {0, BACKGROUND, IGNORED}
    assert set(matched[1].tolist()) == {BACKGROUND}


def test_boxes_and_scores_without_suppression_are_those_of_the_pairs(build_head):
    head = build_head("cornernet", distance=100.0).eval()
    sizes = torch.tensor([[48.0, 64.0]] * 2)
    boxes, scores = head.boxes_and_scores(features(), sizes)
    assert boxes.shape == (2, 1000, 4)
    assert scores.shape == (2, 1000, 3)
    assert ((scores > 0).sum(dim=-1) <= 1).all()
    assert float(scores.max()) == pytest.approx(float(head.predict(features(), sizes).scores.max()))


def test_maps_of_several_strides_are_refused(build_head):
    with pytest.raises(UserError, match=r"reads maps of one stride.* got strides 4, 8: fuse them"):
        build_head("cornernet", feature_specs=[FeatureSpec(8, 4), FeatureSpec(8, 8)])
