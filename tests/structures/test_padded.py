"""Objects and detections of a batch with the same number in each image."""

import torch

from detkit.structures import PaddedDetections, PaddedTargets, Target


def target(count, ignored=0):
    boxes = torch.arange(4.0 * (count + ignored)).view(-1, 4)
    return Target(boxes, torch.arange(len(boxes)), torch.arange(len(boxes)) >= count)


def test_objects_are_padded_and_ignored_ones_apart():
    padded = PaddedTargets.of([target(2, 1), target(0), target(1)])
    assert padded.counts == (2, 0, 1)
    assert padded.mask.tolist() == [[True, True], [False, False], [True, False]]
    assert padded.boxes[0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert padded.labels.tolist() == [[0, 1], [0, 0], [0, 0]]
    assert padded.ignored_boxes[0].tolist() == [[8, 9, 10, 11]]
    assert padded.ignored_mask.tolist() == [[True], [False], [False]]


def test_a_batch_without_objects_has_one_column_of_padding():
    padded = PaddedTargets.of([target(0), target(0)])
    assert padded.boxes.shape == (2, 1, 4)
    assert not padded.mask.any()
    assert padded.ignored_boxes.shape == (2, 0, 4)


def test_some_images_have_the_padding_they_need():
    padded = PaddedTargets.of([target(5), target(1), target(2)]).images(1, 3)
    assert padded.counts == (1, 2)
    assert padded.boxes.shape == (2, 2, 4)


def test_splitting_gives_the_objects_back():
    first, second = PaddedTargets.of([target(2, 1), target(0)]).split()
    assert first.boxes.tolist() == target(2, 1).boxes.tolist()
    assert first.ignored.tolist() == [False, False, True]
    assert len(second) == 0


def test_detections_are_split_without_their_padding():
    boxes, scores = torch.rand(2, 3, 4), torch.rand(2, 3)
    labels = torch.zeros(2, 3, dtype=torch.int64)
    first, second = PaddedDetections(boxes, scores, labels, torch.tensor([0, 2])).split()
    assert len(first.scores) == 0
    assert torch.equal(second.boxes, boxes[1, :2])


def test_detections_return_to_their_original_images_as_if_alone():
    generator = torch.Generator().manual_seed(0)
    corner, sides = torch.rand(2, 3, 5, 2, generator=generator) * 40
    boxes = torch.cat([corner, corner + sides], dim=2)
    counts, sizes = torch.tensor([5, 0, 2]), [(60, 50), (30, 90), (80, 20)]
    to_image = torch.eye(3, dtype=torch.float64) + torch.rand(3, 3, 3, generator=generator) / 9
    to_image[:, 2] = torch.tensor([0.0, 0.0, 1.0])
    padded = PaddedDetections(boxes, torch.rand(3, 5), torch.arange(15).view(3, 5), counts)
    together = padded.to_original(to_image, sizes).split()
    for image, (found, alone) in enumerate(zip(together, padded.split(), strict=True)):
        expected = alone.to_original(to_image[image], sizes[image])
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_detections_return_from_a_batch_without_any():
    nothing = PaddedDetections(
        torch.zeros(2, 0, 4),
        torch.zeros(2, 0),
        torch.zeros(2, 0, dtype=torch.int64),
        torch.zeros(2, dtype=torch.int64),
    )
    to_image = torch.eye(3, dtype=torch.float64).repeat(2, 1, 1)
    images = nothing.to_original(to_image, [(9, 9), (5, 5)]).split()
    assert [image.boxes.shape for image in images] == [(0, 4), (0, 4)]
