import pytest
import torch
from torch.testing import assert_close

from detkit.ops import select_candidates
from detkit.ops.selection import fixed_shapes

SCORES = torch.tensor([[0.9, 0.1], [0.5, 0.6], [0.2, 0.8], [0.7, 0.3]])  # 4 priors, 2 classes


@pytest.fixture(params=["filtered first", "fixed shapes"], autouse=True)
def mode(request):
    """On a CPU, and elsewhere."""
    if request.param == "filtered first":
        yield
    else:
        with fixed_shapes():
            yield


def pairs(candidates, image=0):
    """(prior, class) of the candidates of an image, best first."""
    prior, label, score = (values[image] for values in candidates)
    order = score.argsort(descending=True, stable=True)[: score.count_nonzero()]
    return list(zip(prior[order].tolist(), label[order].tolist(), strict=True))


def test_the_best_pairs_of_each_level_are_selected():
    candidates = select_candidates(SCORES[None], (2, 2), 0.0, limit=2)
    assert pairs(candidates) == [(0, 0), (2, 1), (3, 0), (1, 1)]
    assert_close(candidates.score.sort(descending=True).values[0, :2], torch.tensor([0.9, 0.8]))


def test_without_levels_the_limit_is_for_all_priors():
    assert pairs(select_candidates(SCORES[None], (), 0.0, limit=2)) == [(0, 0), (2, 1)]


def test_a_score_at_the_threshold_is_not_above_it():
    assert pairs(select_candidates(SCORES[None], (4,), 0.7, limit=9)) == [(0, 0), (2, 1)]


def test_a_prior_may_be_kept_for_several_classes():
    assert pairs(select_candidates(SCORES[None, 1:2], (1,), 0.05, limit=9)) == [(0, 1), (0, 0)]


def test_a_level_without_good_scores_adds_nothing():
    assert pairs(select_candidates(SCORES[None], (2, 1, 1), 0.75, limit=9)) == [(0, 0), (2, 1)]


def test_images_with_fewer_candidates_are_padded_with_zero_scores():
    candidates = select_candidates(torch.stack([SCORES, SCORES / 2, SCORES * 0]), (2, 2), 0.4, 3)
    assert pairs(candidates) == [(0, 0), (2, 1), (3, 0), (1, 1), (1, 0)]
    assert pairs(candidates, 1) == [(0, 0)]
    assert pairs(candidates, 2) == []
    assert candidates.prior.shape == candidates.label.shape == candidates.score.shape


def test_images_of_a_batch_have_the_candidates_that_they_have_alone():
    scores = torch.rand(5, 60, 3, generator=torch.Generator().manual_seed(0))
    scores *= torch.tensor([1, 0.1, 0.5, 0.9, 0.55])[:, None, None]
    together = select_candidates(scores, (40, 15, 5), 0.5, limit=20)
    for image, alone in enumerate(scores):
        expected = pairs(select_candidates(alone[None], (40, 15, 5), 0.5, limit=20))
        assert pairs(together, image) == expected


def test_no_candidate():
    candidates = select_candidates(SCORES[None], (2, 2), 1.0, limit=9)
    assert not candidates.score.any()
    assert candidates.prior.dtype == candidates.label.dtype == torch.int64


def test_nan_scores_are_skipped():
    candidates = select_candidates(torch.full((1, 4, 2), float("nan")), (4,), 0.0, limit=9)
    assert not candidates.score.any()
