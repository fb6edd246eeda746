"""Detections of tiles become those of their image."""

import numpy as np
import pytest

from detkit import registry
from detkit.errors import UserError
from detkit.inference.tile_detections import TileQueue, without_cut
from detkit.inference.tiling import Tiling
from detkit.pixels.tiles import Window
from detkit.structures.arrays import DetectionArrays
from detkit.structures.mask_arrays import MaskArrays
from detkit.structures.masks import DetectionMasks

LEFT, RIGHT = Window(0, 0, 100, 100), Window(60, 0, 160, 100)
SIZE = (100, 160)


def tile(*rows):
    """Detections from rows of x1, y1, x2, y2, score and label."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return DetectionArrays(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def merged(tiling, *tiles, size=SIZE):
    queue = TileQueue(tiling)
    queue.add("image", size)
    ((image, detections),) = queue.finish(tiles)
    assert image == "image"
    return detections


def test_boxes_move_to_the_image_and_duplicates_merge():
    tiling = Tiling(size=100, overlap=0.4)
    result = merged(tiling, tile([70, 10, 90, 30, 0.8, 0]), tile([10, 10, 30, 30, 0.9, 0]))
    assert result.boxes.tolist() == [[70, 10, 90, 30]]
    np.testing.assert_allclose(result.scores, [0.9])


@pytest.mark.parametrize("name", registry.names("postprocess"))
def test_every_registered_post_processor_merges(name):
    tiling = Tiling(size=100, overlap=0.4, merge=name)
    result = merged(tiling, tile([70, 10, 90, 30, 0.8, 0]), tile([10, 10, 30, 30, 0.9, 0]))
    assert (result.boxes[0].tolist(), int(result.labels[0])) == ([70, 10, 90, 30], 0)


def test_a_single_tile_is_returned_as_it_is():
    single = tile([1, 2, 3, 4, 0.5, 1], [1, 2, 3, 4, 0.4, 1])
    assert merged(Tiling(size=100), single, size=(80, 100)) is single


def test_images_finish_in_order_whatever_the_batches_are():
    queue = TileQueue(Tiling(size=100, overlap=0))
    counts = [len(queue.add(name, size)) for name, size in [("a", SIZE), ("b", (9, 9))]]
    assert counts == [2, 1]
    assert [image for image, _ in queue.finish([tile()])] == []
    assert [image for image, _ in queue.finish([tile(), tile()])] == ["a", "b"]


def test_a_tile_without_detections_changes_nothing():
    result = merged(Tiling(size=100, overlap=0.4), tile(), tile([10, 10, 30, 30, 0.9, 2]))
    assert (result.boxes.tolist(), result.labels.tolist()) == ([[70, 10, 90, 30]], [2])


def cut(left, right):
    return [
        len(view.scores) for view in without_cut([tile(*left), tile(*right)], [LEFT, RIGHT], SIZE)
    ]


WHOLE = [80, 10, 140, 40, 0.9, 0]
PIECE = [80, 10, 100, 40, 0.8, 0]  # it ends at the right border of the left tile


# pain 132
def test_a_piece_is_dropped_where_a_whole_box_covers_it():
    assert cut([PIECE], [WHOLE]) == [0, 1]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (PIECE, [*WHOLE[:5], 1]),  # another class
        (PIECE, [*WHOLE[:4], 0.3, 0]),  # much less confident
        (PIECE, [92, 10, 140, 40, 0.9, 0]),  # covers less than half
        (PIECE, [60, 10, 140, 40, 0.9, 0]),  # ends at an inner border too
        ([80, 10, 98, 40, 0.8, 0], WHOLE),  # not at the border
    ],
)
def test_other_boxes_stay(left, right):
    assert cut([left], [right]) == [1, 1]


def test_a_border_of_the_image_cuts_nothing():
    assert cut([[0, 0, 30, 100, 0.8, 0]], [[60, 0, 160, 100, 0.9, 0]]) == [1, 1]
    assert cut([[0, 0, 30, 100, 0.8, 0], [0, 0, 60, 100, 0.9, 0]], []) == [2, 0]


def test_pieces_can_be_merged_like_all_boxes():
    tiling = Tiling(size=100, overlap=0.4, drop_cut=False)
    moved = [WHOLE[0] - 60, WHOLE[1], WHOLE[2] - 60, *WHOLE[3:]]
    assert len(merged(tiling, tile(PIECE), tile(moved)).scores) == 2


def with_masks(detections, size=(100, 100)):
    maps = np.ones((len(detections.scores), 4, 4), np.float32) * detections.scores[:, None, None]
    return detections.with_masks(MaskArrays(maps, detections.boxes, size))


def test_masks_move_with_their_boxes():
    left = with_masks(tile([10, 10, 30, 30, 0.9, 0]))
    right = with_masks(tile([50, 50, 80, 80, 0.95, 1], [55, 50, 80, 80, 0.6, 1]))
    masks = merged(Tiling(size=100, overlap=0.4), left, right).masks
    assert masks.boxes.tolist() == [[110, 50, 140, 80], [10, 10, 30, 30]]
    np.testing.assert_allclose(masks.probabilities[:, 0, 0], [0.95, 0.9])
    assert masks.window(0).size == SIZE


def test_masks_of_pytorch_become_arrays():
    left, right = with_masks(tile([10, 10, 30, 30, 0.9, 0])), tile()
    tensors = left.with_masks(DetectionMasks.of(left.masks))
    masks = merged(Tiling(size=100, overlap=0.4), right, tensors).masks
    assert isinstance(masks, MaskArrays)
    assert masks.boxes.tolist() == [[70, 10, 90, 30]]


def test_masks_fit_no_fused_boxes():
    tiles = [with_masks(tile([70, 10, 90, 30, 0.9, 0])), with_masks(tile([12, 10, 30, 30, 0.8, 0]))]
    with pytest.raises(UserError, match=r"tiling\.merge=weighted_boxes_fusion: makes new boxes"):
        merged(Tiling(size=100, overlap=0.4, merge="weighted_boxes_fusion"), *tiles)
