import torch
from torch.testing import assert_close

from detkit.ops import select_candidates

SCORES = torch.tensor([[0.9, 0.1], [0.5, 0.6], [0.2, 0.8], [0.7, 0.3]])  # 4 priors, 2 classes


def pairs(candidates):
    return list(zip(candidates.prior.tolist(), candidates.label.tolist(), strict=True))


def test_the_best_pairs_of_each_level_come_level_by_level():
    candidates = select_candidates(SCORES, torch.tensor([0, 0, 1, 1]), 0.0, limit=2)
    assert pairs(candidates) == [(0, 0), (1, 1), (2, 1), (3, 0)]
    assert_close(candidates.score, torch.tensor([0.9, 0.6, 0.8, 0.7]))


def test_a_score_at_the_threshold_is_not_above_it():
    candidates = select_candidates(SCORES, torch.tensor([0, 0, 0, 0]), 0.7, limit=9)
    assert pairs(candidates) == [(0, 0), (2, 1)]


def test_a_prior_may_be_kept_for_several_classes():
    candidates = select_candidates(SCORES[1:2], torch.tensor([0]), 0.05, limit=9)
    assert pairs(candidates) == [(0, 1), (0, 0)]


def test_a_level_without_priors_or_good_scores_adds_nothing():
    candidates = select_candidates(SCORES, torch.tensor([1, 1, 3, 3]), 0.75, limit=9)
    assert pairs(candidates) == [(0, 0), (2, 1)]


def test_no_candidate():
    candidates = select_candidates(SCORES, torch.tensor([0, 0, 1, 1]), 1.0, limit=9)
    assert [len(values) for values in candidates] == [0, 0, 0]
    assert candidates.prior.dtype == candidates.label.dtype == torch.int64


def test_nan_scores_are_skipped():
    candidates = select_candidates(SCORES.clone().fill_(float("nan")), torch.zeros(4).long(), 0, 9)
    assert len(candidates.score) == 0
