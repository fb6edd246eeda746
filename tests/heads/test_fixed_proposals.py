"""Proposers that learn nothing: a grid, and regions that come with the images."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from detkit.contracts import scenes
from detkit.errors import UserError
from detkit.heads.fixed_proposals import ExternalProposals, GridProposals
from detkit.ops.grid_boxes import grid_boxes
from detkit.structures import Regions


def test_windows_cover_the_image_evenly():
    boxes = grid_boxes(sizes=[0.5], ratios=[1.0], step=0.5)
    assert boxes.shape == (9, 4)
    assert boxes[:3].tolist() == [[0, 0, 0.5, 0.5], [0.25, 0, 0.75, 0.5], [0.5, 0, 1, 0.5]]
    assert boxes[-1].tolist() == [0.5, 0.5, 1, 1]


def test_windows_keep_their_area_up_to_the_sides_of_the_image():
    (wide,) = grid_boxes(sizes=[1.0], ratios=[4.0])[:1]
    assert_close(wide, torch.tensor([0.0, 0, 1, 0.5]))
    sides = grid_boxes(sizes=[0.2], ratios=[4.0])[0, 2:]
    assert_close(sides, torch.tensor([0.4, 0.1]))


def test_a_grid_follows_the_size_of_each_image():
    proposer = GridProposals(sizes=(0.5,), ratios=(1.0,))
    regions = proposer.propose([], torch.tensor([[64.0, 96.0], [60.0, 80.0]]))
    assert regions.boxes[:, -1].tolist() == [[48, 32, 96, 64], [40, 30, 80, 60]]
    assert regions.mask.all()


def test_sizes_beyond_the_image_are_refused():
    with pytest.raises(UserError, match=r"shares of the image, from 0 to 1, got .*1\.5"):
        GridProposals(sizes=(1.5,))


def batch(*boxes):
    regions = [torch.tensor(image, dtype=torch.float32).reshape(-1, 4) for image in boxes]
    return replace(scenes.batch(scenes.usual_targets()), proposals=Regions.of(regions))


def test_regions_of_a_batch_are_cut_to_their_image():
    regions = ExternalProposals().regions_of(batch([[4, 4, 200, 30]], [[-5, 2, 30, 99]]))
    assert regions.boxes.tolist() == [[[4, 4, 96, 30]], [[0, 2, 30, 60]]]


def test_tiny_regions_and_those_beyond_the_limit_are_dropped():
    first = [[1, 1, 1.5, 40], [2, 2, 40, 40], [3, 3, 50, 50]]
    regions = ExternalProposals(most=2).regions_of(batch(first, []))
    assert [boxes.tolist() for boxes in regions.split()] == [[[2, 2, 40, 40]], []]


def test_a_batch_without_regions_is_refused():
    with pytest.raises(UserError, match=r"set model\.proposer\.file to a file"):
        ExternalProposals().regions_of(scenes.batch(scenes.usual_targets()))
