import math

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from torch.testing import assert_close

from detkit.losses import GHMBoxLoss, GHMClassificationLoss
from detkit.ops.masked_rows import Rows
from detkit.structures import BACKGROUND, IGNORED

ONE_OBJECT = torch.tensor([BACKGROUND, BACKGROUND, 0])


def logits_of(*probabilities):
    return torch.tensor(probabilities, dtype=torch.float64).logit()[:, None]


def test_classification_by_hand():
    # Gradient lengths 0.1, 0.2 and 0.9: with four bins two in the first and one in the last.
    losses = GHMClassificationLoss(bins=4)(logits_of(0.1, 0.2, 0.1), ONE_OBJECT)
    expected = [-math.log(0.9) / 4, -math.log(0.8) / 4, -math.log(0.1) / 2]
    assert losses.tolist() == pytest.approx(expected)


def test_the_sum_is_the_loss_however_many_positives_there_are():
    labels = torch.tensor([0, BACKGROUND, 0])
    losses = GHMClassificationLoss(bins=2)(logits_of(0.1, 0.8, 0.2), labels)
    # All three are in the second bin: the mean of their entropies.
    expected = [-math.log(p) / 3 for p in (0.1, 0.2, 0.2)]
    assert losses.tolist() == pytest.approx(expected)


def test_a_soft_target_moves_the_gradient_length():
    scores = torch.tensor([1.0, 1.0, 0.3])
    loss = GHMClassificationLoss(bins=4, momentum=0.0)
    losses = loss(logits_of(0.1, 0.9, 0.1), ONE_OBJECT, scores)
    assert loss.histogram.counts.tolist() == [2, 0, 0, 1]
    assert losses[2].item() == pytest.approx(-(0.3 * math.log(0.1) + 0.7 * math.log(0.9)) / 4)


def test_smoothed_targets_of_objects_move_their_gradient_lengths():
    # Targets 0.9 and 0.1 of the object, 0 of background: lengths 0.1, 0.4, 0.2, 0.7.
    logits = torch.tensor([[0.8, 0.5], [0.2, 0.7]], dtype=torch.float64).logit()
    loss = GHMClassificationLoss(bins=4, momentum=0.0, label_smoothing=0.2)
    losses = loss(logits, torch.tensor([0, BACKGROUND]))
    assert loss.histogram.counts.tolist() == [2, 1, 1, 0]
    first = -(0.9 * math.log(0.8) + 0.1 * math.log(0.2)) / (3 * 2)
    second = -math.log(0.5) / 3
    assert losses[0].item() == pytest.approx(first + second)


def test_classification_equals_its_definition():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 3, generator=generator, dtype=torch.float64) * 2
    labels = torch.randint(-1, 3, (50,), generator=generator)
    target = torch.nn.functional.one_hot(labels.clamp(min=0), 3) * (labels >= 0)[:, None]
    probability = logits.sigmoid()
    entropy = -(target * probability.log() + (1 - target) * (1 - probability).log())
    lengths = (probability - target).abs()
    means = [
        entropy[(lengths >= low / 5) & (lengths < (low + 1) / 5)].mean() for low in range(5)
    ]  # each bin is filled
    total = GHMClassificationLoss(bins=5)(logits, labels).sum()
    assert_close(total, torch.stack(means).mean(), rtol=1e-5, atol=0)


def test_boxes_by_hand():
    # d = 0, 3 mu / 4, 4 mu / 3: gradient lengths 0, 0.6 and 0.8, costs 0, mu / 4 and 2 mu / 3.
    mu = 0.12
    predicted = torch.tensor([[0.0, 0.09], [0.0, -0.16]], dtype=torch.float64)
    loss = GHMBoxLoss(mu=mu, bins=2, momentum=0.0)
    losses = loss(predicted, torch.zeros(2, 2))
    # Two bins of two codes each: every weight is 1.
    assert loss.histogram.counts.tolist() == [2, 2]
    assert losses.tolist() == pytest.approx([mu / 4, 2 * mu / 3])
    losses = GHMBoxLoss(mu=mu, bins=6)(predicted, torch.zeros(2, 2))
    # Two codes in the first bin, one in the fourth, one in the fifth: 4 / (1 * 3) for the last two.
    assert losses.tolist() == pytest.approx([mu / 4 * 4 / 3, 2 * mu / 3 * 4 / 3])


@pytest.mark.parametrize("size", [1e-6, 1e-3])
def test_small_differences_of_codes_are_not_rounded(size):
    loss = GHMBoxLoss(bins=1)(torch.full((1, 1), size), torch.zeros(1, 1))
    assert loss.item() == pytest.approx(size**2 / (2 * 0.02), rel=2e-3)


def test_momentum_over_calls():
    loss = GHMClassificationLoss(bins=2, momentum=0.75)
    loss(logits_of(0.1, 0.2, 0.1), ONE_OBJECT)  # two in the first bin, one in the second
    losses = loss(logits_of(0.1, 0.9, 0.1), ONE_OBJECT)  # one and two
    # Averages 0.75 * 0.25 of the first and 0.25 of the second, over the sum of both factors.
    counts = [(0.1875 * 2 + 0.25 * 1) / 0.4375, (0.1875 * 1 + 0.25 * 2) / 0.4375]
    assert losses[0].item() == pytest.approx(-math.log(0.9) / (2 * counts[0]))
    assert losses[1].item() == pytest.approx(-math.log(0.1) / (2 * counts[1]))


def test_a_batch_without_counts_leaves_the_average_unchanged():
    loss = GHMBoxLoss()
    loss(torch.rand(6, 4), torch.zeros(6, 4))
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    assert loss(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0,)
    assert_close(loss.state_dict(), before)


def test_ignored_priors_are_in_no_bin():
    loss = GHMClassificationLoss(bins=2, momentum=0.0)
    labels = torch.tensor([BACKGROUND, IGNORED, 0])
    losses = loss(logits_of(0.1, 0.2, 0.1), labels)
    assert loss.histogram.counts.tolist() == [1, 1]
    assert losses[1] == 0


def test_rows_that_do_not_count_change_nothing():
    codes, target = torch.rand(6, 4), torch.rand(6, 4)
    counted = torch.tensor([True, False, True, True, False, False])
    some, all_rows = GHMBoxLoss(bins=3), GHMBoxLoss(bins=3)
    expected = some(codes[counted], target[counted])
    losses = Rows(None, counted).losses(all_rows, codes, target)
    assert_close(losses[counted], expected)
    assert not losses[~counted].any()
    assert_close(all_rows.state_dict(), some.state_dict())


def test_the_checkpoint_has_the_histogram():
    loss, other = GHMClassificationLoss(bins=3), GHMClassificationLoss(bins=3)
    inputs = logits_of(0.1, 0.5, 0.1), ONE_OBJECT
    loss(*inputs)
    assert set(loss.state_dict()) == {"histogram.counts", "histogram.share"}
    other.load_state_dict(loss.state_dict())
    following = logits_of(0.4, 0.6, 0.8), ONE_OBJECT
    assert torch.equal(loss(*following), other(*following))


def test_outside_training_the_average_is_used_unchanged():
    loss = GHMBoxLoss(bins=2)
    loss(torch.tensor([[0.0, 0.0, 9.0]]), torch.zeros(1, 3))
    loss.eval()
    first, second = (loss(torch.tensor([[9.0, 9.0, 9.0]]), torch.zeros(1, 3)) for _ in range(2))
    assert torch.equal(first, second)
    fresh = GHMBoxLoss(bins=2)(torch.tensor([[9.0, 9.0, 9.0]]), torch.zeros(1, 3))
    assert not torch.equal(first, fresh)


def test_a_pass_without_gradients_is_no_training_step():
    loss = GHMClassificationLoss()
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    with torch.no_grad():
        loss(logits_of(0.1, 0.2, 0.1), ONE_OBJECT)
    assert_close(loss.state_dict(), before)


def test_non_finite_logits_stay_visible():
    losses = GHMClassificationLoss()(torch.tensor([[math.nan], [0.0]]), torch.tensor([0, -1]))
    assert losses.isnan().tolist() == [True, False]


def _losses_of_half(rank, store, logits, labels, expected):
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    classes, boxes = GHMClassificationLoss(), GHMBoxLoss()
    half = slice(0, 1) if rank == 0 else slice(1, 8)  # of different sizes
    found = classes(logits[half], labels[half]).sum(), boxes(logits[half], 0 * logits[half]).sum()
    state = {"c": classes.state_dict(), "r": boxes.state_dict()}
    states = [None, None]
    torch.distributed.all_gather_object(states, state)
    sums = torch.stack(found)
    torch.distributed.all_reduce(sums)
    torch.distributed.destroy_process_group()
    assert_close(states[0], states[1])
    # Gradients are averaged over ranks. The head divides boxes by the positives of a mean rank,
    # and classes by nothing, as their histogram is already that of a mean rank.
    assert_close(sums / torch.tensor([2, 1]), expected, rtol=1e-5, atol=0)


@pytest.mark.slow
def test_two_ranks_share_a_histogram_and_give_the_losses_of_one(tmp_path):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 3, generator=generator)
    labels = torch.randint(-1, 3, (8,), generator=generator)
    alone = GHMClassificationLoss()(logits, labels).sum(), GHMBoxLoss()(logits, 0 * logits).sum()
    expected = torch.stack(alone)
    arguments = (f"file://{tmp_path}/store", logits, labels, expected)
    torch.multiprocessing.spawn(_losses_of_half, args=arguments, nprocs=2)


def test_a_rank_without_boxes_takes_part(monkeypatch):
    calls = []

    def count_calls(value):
        calls.append(value)
        return value

    monkeypatch.setattr("detkit.losses.histogram.mean_over_ranks", count_calls)
    GHMBoxLoss()(torch.zeros(0, 4), torch.zeros(0, 4))
    assert len(calls) == 1
