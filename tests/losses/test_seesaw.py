import math

import pytest
import torch
from torch.testing import assert_close

from detkit.errors import UserError
from detkit.heads.matches import yes_or_no_losses
from detkit.losses import BinaryCrossEntropy, SeesawLoss
from detkit.ops import class_scores

# Scores of objects .6, .3, .1; probability of background 1/2.
LOGITS = torch.tensor([[math.log(0.6), math.log(0.3), math.log(0.1), 0.0]], dtype=torch.float64)
HALF = math.log(2)  # the loss of the background logit


def seen(*counts, **arguments):
    """A loss that has seen these objects, and does not count others."""
    loss = SeesawLoss(num_classes=len(counts), **arguments).eval()
    loss.counts.copy_(torch.tensor(counts))
    return loss


def value(loss, label, logits=LOGITS):
    return loss(logits, torch.tensor([label])).item()


def test_equal_counts_and_a_correct_class_are_a_cross_entropy():
    assert value(seen(5, 5, 5), 0) == pytest.approx(HALF - math.log(0.6))


def test_objects_of_common_classes_spare_rarer_ones():
    # S_01 = (8 / 16)^0.8, S_02 = (1 / 16)^0.8; no score is above 0.6.
    others = 0.5**0.8 * 0.3 + (1 / 16) ** 0.8 * 0.1
    assert value(seen(16, 8, 1), 0) == pytest.approx(HALF - math.log(0.6 / (0.6 + others)))


def test_objects_of_rare_classes_do_not_spare_common_ones():
    loss = seen(1, 8, 16, compensation=0.0)
    assert value(loss, 0) == pytest.approx(HALF - math.log(0.6))


def test_classes_without_objects_count_as_seen_once():
    assert value(seen(2, 0, 2, compensation=0.0), 0) == pytest.approx(
        HALF - math.log(0.6 / (0.6 + 0.5**0.8 * 0.3 + 0.1))
    )


def test_wrong_classes_with_a_higher_score_are_suppressed_more():
    # S_10 = (0.6 / 0.3)^2, S_12 = 1.
    expected = HALF - math.log(0.3 / (4 * 0.6 + 0.3 + 0.1))
    assert value(seen(5, 5, 5), 1) == pytest.approx(expected)


def test_compensation_is_limited_at_a_score_of_one_hundredth():
    logits = torch.tensor([[0.0, math.log(1e-4), 0.0]], dtype=torch.float64)
    score = 1 / (1 + 1e-4)
    expected = HALF - math.log(1e-4 / ((score / 0.01) ** 2 + 1e-4))
    assert value(seen(5, 5), 1, logits) == pytest.approx(expected)


def test_background_learns_its_own_logit_only():
    logits = LOGITS.clone().requires_grad_()
    loss = seen(5, 5, 5)(logits, torch.tensor([-1]))
    loss.sum().backward()
    assert loss.item() == pytest.approx(HALF)
    assert_close(logits.grad, torch.tensor([[0, 0, 0, -0.5]], dtype=torch.float64))


def test_factors_are_constants_for_the_gradient():
    logits = LOGITS.clone().requires_grad_()
    seen(16, 8, 1)(logits, torch.tensor([1])).sum().backward()
    shares = torch.tensor([4 * 0.6, 0.3, (1 / 8) ** 0.8 * 0.1], dtype=torch.float64)
    expected = shares / shares.sum() - torch.tensor([0, 1, 0])
    assert_close(logits.grad[0, :3], expected)


def test_soft_targets_weigh_the_class_and_move_background():
    loss = seen(5, 5, 5)(LOGITS, torch.tensor([0]), torch.tensor([0.25]))
    assert loss.item() == pytest.approx(HALF - 0.25 * math.log(0.6))


def test_scores_are_those_of_objects_times_the_probability_of_one():
    expected = torch.tensor([[0.3, 0.15, 0.05]], dtype=torch.float64)
    assert_close(class_scores(LOGITS, "conditional_softmax"), expected)


def test_training_counts_objects_before_it_weighs_them():
    loss = SeesawLoss(num_classes=3, compensation=0.0)
    labels = torch.tensor([0, 0, 1, -1, -2])
    losses = loss(LOGITS.expand(5, 4), labels)
    assert loss.counts.tolist() == [2, 1, 0]
    first = HALF - math.log(0.6 / (0.6 + 0.5**0.8 * (0.3 + 0.1)))
    assert losses[0].item() == pytest.approx(first)


def test_only_steps_with_gradients_count():
    loss = SeesawLoss(num_classes=3)
    with torch.no_grad():
        loss(LOGITS, torch.tensor([0]))
    loss.eval()(LOGITS, torch.tensor([0]))
    assert loss.counts.tolist() == [0, 0, 0]


def test_counts_are_in_the_checkpoint():
    loss, other = SeesawLoss(num_classes=3), SeesawLoss(num_classes=3)
    loss(LOGITS, torch.tensor([0]))
    other.load_state_dict(loss.state_dict())
    assert torch.equal(loss(LOGITS, torch.tensor([1])), other(LOGITS, torch.tensor([1])))


def test_an_objectness_is_a_binary_cross_entropy():
    logits, labels = torch.randn(4), torch.tensor([0, -1, 0, -2])
    loss, scores = SeesawLoss(num_classes=3), torch.full((4,), 0.7)
    expected = BinaryCrossEntropy()(logits[:, None], labels, scores)
    assert_close(yes_or_no_losses(loss, logits, labels, scores), expected)
    assert loss.counts.tolist() == [0, 0, 0]


def test_logits_of_other_classes_are_refused():
    with pytest.raises(UserError, match=r"'seesaw' is for 3 classes, but this loss gets 2 logits"):
        SeesawLoss(num_classes=3)(torch.zeros(4, 3), torch.zeros(4).long())


def _count(rank, store, counts):
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    loss = SeesawLoss(num_classes=3)
    loss(LOGITS.expand(2, 4), torch.tensor([[0, 1], [1, -1]][rank]))
    counts[rank] = loss.counts
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_all_ranks_count_all_objects(tmp_path):
    counts = torch.zeros(2, 3, dtype=torch.int64).share_memory_()
    arguments = (f"file://{tmp_path}/store", counts)
    torch.multiprocessing.spawn(_count, args=arguments, nprocs=2)
    assert counts.tolist() == [[1, 2, 0], [1, 2, 0]]
