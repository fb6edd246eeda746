"""Batches are assigned in runs of images."""

import pytest
import torch

from detkit.errors import UserError
from detkit.ops import assign_batch, chunks
from detkit.ops.matching import image_runs
from detkit.structures import IGNORED, Assignment, PaddedTargets, Priors, Target

PRIORS = Priors(torch.tensor([[0.0, 0, 4, 4], [50, 50, 54, 54]]), torch.ones(2), torch.zeros(2))


def targets(*counts):
    return PaddedTargets.of(
        [
            Target(torch.ones(n, 4), torch.zeros(n).long(), torch.zeros(n, dtype=torch.bool))
            for n in counts
        ]
    )


def background(priors, scores, boxes, targets):
    return Assignment(torch.full((len(targets.counts), len(priors.boxes)), -1))


def test_similar_images_are_one_run():
    assert list(image_runs([3, 0, 5, 4], 1000)) == [(0, 4)]


def test_an_image_with_very_many_objects_is_a_run_of_its_own():
    assert list(image_runs([3, 2, 1000, 4, 1], 8400)) == [(0, 2), (2, 3), (3, 5)]


def test_a_run_fits_into_memory():
    most = chunks.MOST_PAIRS
    for start, stop in image_runs([10] * 40, 8400):
        assert (stop - start) * 10 * 8400 <= most
    assert list(image_runs([10] * 3, most)) == [(0, 1), (1, 2), (2, 3)]


def test_results_of_runs_are_joined(monkeypatch):
    monkeypatch.setattr(chunks, "MOST_PAIRS", 2)

    def counted(priors, scores, boxes, images):
        matched = torch.tensor(images.counts)[:, None].expand(-1, 2) - 1
        return Assignment(matched, matched / 2)

    matched, soft = assign_batch(counted, PRIORS, None, None, targets(1, 3, 2))
    assert matched.tolist() == [[0, 0], [2, 2], [1, 1]]
    assert torch.equal(soft, matched / 2)


def test_background_on_ignored_objects_is_ignored():
    crowd = Target(torch.tensor([[0.0, 0, 9, 9]]), torch.tensor([0]), torch.tensor([True]))
    images = PaddedTargets.of([Target.empty(), crowd])
    matched, _ = assign_batch(background, PRIORS, None, None, images)
    assert matched.tolist() == [[-1, -1], [IGNORED, -1]]


def test_an_assignment_of_a_single_image_is_refused():
    def single(*given):
        return Assignment(torch.full((2,), -1))

    with pytest.raises(UserError, match=r"shape \(2,\), expected \(2, 2\): a row for each image"):
        assign_batch(single, PRIORS, None, None, targets(1, 1))
