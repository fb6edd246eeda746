"""Mosaic, mixup and copy-paste, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from detkit.data.transforms.mixing import CopyPaste, CutMix, Mixup, _beside
from detkit.data.transforms.mosaic import Mosaic
from detkit.errors import ConfigError
from detkit.structures import Detections, Outlines, Sample, Target


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def plain(value, boxes, size=(20, 40), label=0, ignored=()):
    """An image of one grey value."""
    count = len(boxes)
    target = Target(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.full((count,), label),
        torch.tensor([number in ignored for number in range(count)], dtype=torch.bool),
        torch.full((count,), 7.0),
    )
    image = torch.full((3, *size), value, dtype=torch.uint8)
    return Sample(image, target, target, value, f"{value}.png", size)


def quarters(mixed):
    """The grey value in the middle of each quarter: top left, top right, bottom left, ..."""
    height, width = mixed.size
    return [
        int(mixed.image[0, h, w])
        for h in (height // 2 - 1, height // 2)
        for w in (width // 2 - 1, width // 2)
    ]


def four():
    return [plain(value, [[10.0, 5.0, 30.0, 15.0]], label=value) for value in (10, 20, 30, 40)]


def test_mosaic_without_jitter_puts_images_around_the_middle():
    first, *others = four()
    mixed = Mosaic(height=40, width=80, jitter=0.0).mix(first, others, generator())
    assert mixed.size == (40, 80)
    assert sorted(quarters(mixed)) == [10, 20, 30, 40]
    corners = {(0, 0): 0, (0, 1): 1, (1, 0): 2, (1, 1): 3}
    for box, label in zip(mixed.target.boxes.tolist(), mixed.target.labels.tolist(), strict=True):
        row, column = box[1] >= 20, box[0] >= 40
        assert box == [10 + 40 * column, 5 + 20 * row, 30 + 40 * column, 15 + 20 * row]
        assert quarters(mixed)[corners[row, column]] == label
    assert mixed.target.areas.tolist() == [7, 7, 7, 7]


def test_mosaic_resizes_to_a_quarter_and_keeps_the_ratio():
    first, *others = four()
    mixed = Mosaic(height=80, width=80, jitter=0.0).mix(first, others, generator())
    sides = mixed.target.boxes[:, 2:] - mixed.target.boxes[:, :2]
    assert sides.tolist() == [[20, 10]] * 4  # 40 x 20 fits 40 x 40 as it is
    small = Mosaic(height=40, width=40, jitter=0.0).mix(first, others, generator())
    assert (small.target.boxes[:, 2:] - small.target.boxes[:, :2]).tolist() == [[10, 5]] * 4
    large = Mosaic(height=160, width=160, jitter=0.0).mix(first, others, generator())
    assert (large.target.boxes[:, 2:] - large.target.boxes[:, :2]).tolist() == [[40, 20]] * 4
    kept = Mosaic(height=160, width=160, jitter=0.0, enlarge=False)
    assert (kept.mix(first, others, generator()).image == 114).any()


@pytest.mark.parametrize("seed", range(8))
def test_mosaic_maps_the_first_image_and_shows_its_pixels_there(seed):
    first, *others = four()
    mixed = Mosaic(height=40, width=80, least_kept=0.0).mix(first, others, generator(seed))
    assert (mixed.image_id, mixed.path) == (first.image_id, first.path)
    mine = mixed.target.boxes[mixed.target.labels == 10]
    if len(mine):
        x1, y1, x2, y2 = mine[0].round().int().tolist()
        assert (mixed.image[:, y1:y2, x1:x2] == 10).all()
        found = Detections(mine, torch.ones(1), torch.zeros(1, dtype=torch.int64))
        back = found.to_original(mixed.to_image, first.original_size).boxes[0]
        assert back[0] >= 9.99
        assert back[2] <= 30.01
        assert back[1] >= 4.99
        assert back[3] <= 15.01


def test_mosaic_drops_boxes_with_too_little_on_the_canvas():
    images = [plain(value, [[0.0, 0.0, 2.0, 2.0]]) for value in (1, 2, 3, 4)]
    jittered = Mosaic(height=40, width=80, jitter=0.49, least_kept=1.0)
    boxes = [jittered.mix(images[0], images[1:], generator(s)).target.boxes for s in range(10)]
    assert min(len(found) for found in boxes) < 4
    assert all(((b[:, 2:] - b[:, :2]) == 2).all() for b in boxes)


def test_mosaic_comes_with_its_probability():
    random = generator()
    counts = [Mosaic(probability=0.25).count(random) for _ in range(400)]
    assert set(counts) == {0, 3}
    assert 70 < counts.count(3) < 130
    assert Mosaic(probability=0.0).count(random) == 0


def test_mixup_blends_by_its_share_and_keeps_all_objects():
    first, second = plain(0, [[1.0, 1.0, 9.0, 9.0]]), plain(200, [[2.0, 2.0, 5.0, 5.0]], label=1)
    shares = [
        1 - Mixup(alpha=1.0).mix(first, [second], generator(s)).image[0, 0, 0].item() / 200
        for s in range(60)
    ]
    assert min(shares) < 0.1
    assert max(shares) > 0.9
    even = [Mixup(alpha=1e4).mix(first, [second], generator(s)) for s in range(5)]
    assert all(95 <= int(mixed.image[0, 0, 0]) <= 105 for mixed in even)
    assert even[0].target.boxes.tolist() == [[1, 1, 9, 9], [2, 2, 5, 5]]
    assert even[0].target.labels.tolist() == [0, 1]


def test_mixup_of_two_sizes_has_room_for_both():
    first, second = plain(0, [], (10, 40)), plain(0, [[0.0, 0.0, 30.0, 20.0]], (20, 30))
    mixed = Mixup(alpha=1e4).mix(first, [second], generator())
    assert mixed.size == (20, 40)
    assert mixed.target.boxes.tolist() == [[0, 0, 30, 20]]
    assert (mixed.image[:, :10, :30] == 0).all()
    assert (mixed.image[:, 10:, 30:] == 114).all()


@pytest.mark.parametrize("seed", range(8))
def test_cutmix_shows_each_object_in_its_own_image(seed):
    first = plain(0, [[0.0, 0.0, 20.0, 20.0], [25.0, 2.0, 35.0, 9.0]])
    second = plain(200, [[5.0, 1.0, 15.0, 19.0], [22.0, 8.0, 38.0, 18.0]], label=1)
    mixed = CutMix(least_kept=0.0).mix(first, [second], generator(seed))
    window = (mixed.image[0] == 200).nonzero()
    assert len(window) == (window.amax(0) - window.amin(0) + 1).prod()
    for box, label in zip(mixed.target.boxes.int().tolist(), mixed.target.labels, strict=True):
        seen = mixed.image[0, box[1] : box[3], box[0] : box[2]]
        assert (seen == 200 * label).any()
        assert label == 0 or (seen == 200).all()


def test_cutmix_windows_have_the_share_that_was_drawn():
    shares = [
        float(
            (CutMix(alpha=1e6).mix(plain(0, []), [plain(9, [])], generator(s)).image == 9)
            .float()
            .mean()
        )
        for s in range(60)
    ]
    assert max(shares) == pytest.approx(0.5, abs=0.05)  # those at an edge are cut
    assert min(shares) < 0.3


def test_a_window_cuts_sides_off_boxes():
    boxes = torch.tensor([[0.0, 4, 20, 8], [12, 4, 30, 8], [0, 0, 20, 20], [8, 2, 40, 9]])
    expected = [[0, 4, 10, 8], [20, 4, 30, 8], [0, 0, 20, 20], [8, 2, 40, 9]]
    assert _beside(boxes, 10, 3, 20, 12).tolist() == expected


def test_cutmix_takes_the_window_from_masks():
    first = drawn(0, [4.0, 5, 28, 15], [[[4, 5], [28, 5], [28, 15], [4, 15]]])
    second = drawn(200, [0.0, 0, 40, 20], [LEFT, RIGHT], label=1)
    mixed = CutMix(least_kept=0.0).mix(first, [second], generator(3))
    window = mixed.image[0] == 200
    for row, label in enumerate(mixed.target.labels.tolist()):
        mask = torch.from_numpy(mixed.target.outlines.bitmap(row, (20, 40)))
        assert bool((window[mask] == (label == 1)).all())


def test_copy_paste_pastes_the_rectangle_of_an_object():
    first, second = plain(0, []), plain(200, [[4.0, 2.0, 14.0, 8.0]], label=3)
    paste = CopyPaste(most=1, smallest=1.0, largest=1.0)
    mixed = paste.mix(first, [second], generator())
    assert mixed.target.labels.tolist() == [3]
    x1, y1, x2, y2 = mixed.target.boxes[0].int().tolist()
    assert (x2 - x1, y2 - y1) == (10, 6)
    assert (mixed.image[:, y1:y2, x1:x2] == 200).all()
    assert int((mixed.image == 200).sum()) == 3 * 60
    assert (first.image == 0).all()


def test_copy_paste_includes_everything_inside_the_rectangle():
    boxes = [[0.0, 0.0, 20.0, 10.0], [5.0, 5.0, 10.0, 10.0], [15.0, 0.0, 40.0, 10.0]]
    second = plain(200, boxes, ignored=(1, 2))  # only the first can be chosen
    paste = CopyPaste(most=3, smallest=1.0, largest=1.0, least_kept=0.5)
    mixed = paste.mix(plain(0, []), [second], generator())
    sides = (mixed.target.boxes[:, 2:] - mixed.target.boxes[:, :2]).tolist()
    assert sides == [[20, 10], [5, 5]]  # of the third, a fifth would be seen
    assert mixed.target.ignored.tolist() == [False, True]


def test_copy_paste_drops_what_it_hides():
    second = plain(200, [[0.0, 0.0, 40.0, 20.0]], label=1)  # as large as the image
    first = plain(0, [[3.0, 3.0, 9.0, 9.0]])
    mixed = CopyPaste(most=1, smallest=1.0, largest=1.0).mix(first, [second], generator())
    assert mixed.target.labels.tolist() == [1]


def test_copy_paste_skips_objects_that_do_not_fit():
    first, second = plain(0, [], (5, 5)), plain(200, [[0.0, 0.0, 30.0, 20.0]])
    assert CopyPaste().mix(first, [second], generator()) is first
    assert CopyPaste().mix(first, [plain(9, [])], generator()) is first


def test_copy_paste_refuses_an_inverted_range():
    with pytest.raises(ConfigError, match=r"copy_paste: smallest 2 is above largest 1; swap them"):
        CopyPaste(smallest=2, largest=1)


def drawn(value, box, rings, label=0):
    """An image of one grey value with one object that has a mask."""
    sample = plain(value, [box], label=label)
    outlines = Outlines.of([[np.array(ring, dtype=float) for ring in rings]])
    return sample.replace(target=replace(sample.target, outlines=outlines))


LEFT = [[0, 0], [10, 0], [10, 20], [0, 20]]
RIGHT = [[30, 0], [40, 0], [40, 20], [30, 20]]


def test_copy_paste_pastes_only_the_pixels_of_a_mask():
    first = drawn(0, [12.0, 5, 28, 15], [[[12, 5], [28, 5], [28, 15], [12, 15]]])
    second = drawn(200, [0.0, 0, 40, 20], [LEFT, RIGHT], label=1)
    mixed = CopyPaste(most=1, smallest=1.0, largest=1.0).mix(first, [second], generator())
    expected = torch.zeros(20, 40, dtype=torch.uint8)
    expected[:, :10] = expected[:, 30:] = 200
    assert torch.equal(mixed.image[0], expected)
    assert mixed.target.labels.tolist() == [0, 1]  # the first is between the parts of the second
    assert mixed.target.outlines.bitmap(1, (20, 40)).sum() == 400


def test_copy_paste_leaves_the_visible_part_of_masks_and_boxes():
    first = drawn(0, [4.0, 5, 28, 15], [[[4, 5], [28, 5], [28, 15], [4, 15]]])
    second = drawn(200, [0.0, 0, 40, 20], [LEFT, RIGHT], label=1)
    mixed = CopyPaste(most=1, smallest=1.0, largest=1.0).mix(first, [second], generator())
    assert mixed.target.boxes[0].tolist() == [10, 5, 28, 15]
    assert mixed.target.outlines.bitmap(0, (20, 40)).sum() == 180


def test_copy_paste_drops_objects_whose_mask_is_hidden():
    first = drawn(0, [0.0, 5, 40, 15], [[[31, 5], [39, 5], [39, 15], [31, 15]]])
    second = drawn(200, [0.0, 0, 40, 20], [LEFT, RIGHT], label=1)
    mixed = CopyPaste(most=1, smallest=1.0, largest=1.0).mix(first, [second], generator())
    assert mixed.target.labels.tolist() == [1]
