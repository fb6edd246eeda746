"""The settings of tiles: what they accept, and the message about everything else."""

import pytest

from detkit.errors import UserError
from detkit.inference.tiling import Tiling, tiling_in_words, tiling_of


def test_without_a_size_there_are_no_tiles():
    assert tiling_of(None) is None
    assert tiling_of({}) is None
    assert tiling_of(Tiling()) is None


def test_one_number_is_the_height_and_the_width():
    assert tiling_of({"size": 640}).tile == (640, 640)
    assert tiling_of({"size": [320, 416]}).tile == (320, 416)


def test_the_whole_image_is_added_where_it_is_no_tile_itself():
    tiling = Tiling(size=40, overlap=0, full_image=True)
    assert tiling.windows((40, 80)) == [(0, 0, 40, 40), (40, 0, 80, 40), (0, 0, 80, 40)]
    assert tiling.windows((40, 40)) == [(0, 0, 40, 40)]


def test_merging_allows_as_many_detections_as_a_large_image_has():
    assert Tiling(size=40).merging().settings["max_detections"] == 1000
    merge = {"name": "soft_nms", "max_detections": 7}
    assert Tiling(size=40, merge=merge).merging().settings["max_detections"] == 7


def test_fusion_does_not_ask_how_many_tiles_agree():
    assert Tiling(size=40, merge="weighted_boxes_fusion").merging().settings["score"] == "highest"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (640, r"tiling=640: expected a mapping such as tiling=\{size: 640, overlap: 0.2\}"),
        ({"sise": 640}, r"tiling\.sise: there is no such setting\. Did you mean 'size'\?"),
        ({"overlap": 0.3}, r"tiling\.size: is missing: give the side of a tile in pixels"),
        ({"size": 0}, r"tiling\.size=0: expected a whole number above 0, or \[height, width\]"),
        ({"size": [1, 2, 3]}, r"tiling\.size=\[1, 2, 3\]: expected a whole number above 0"),
        ({"size": 64, "overlap": -0.1}, "overlap=-0.1: expected a share of the tile, from 0 to"),
        ({"size": 64, "overlap": 1}, "overlap=1: .* Neighbours cannot share a whole tile"),
        ({"size": 640, "overlap": 64}, r"overlap=64: .* For 64 pixels give 0\.1\."),
        ({"size": 64, "overlap": 64}, "overlap=64: .* Neighbours cannot share a whole tile"),
        ({"size": 64, "overlap": "a"}, "overlap=a: expected a share of the tile"),
        ({"size": 64, "batch_size": 0}, "batch_size=0: expected a whole number above 0"),
        ({"size": 64, "full_image": 1}, "full_image=1: expected true or false"),
        ({"size": 64, "merge": 3}, "merge=3: expected the name of a post-processor"),
        ({"size": 64, "merge": "nsm"}, r"tiling\.merge=nsm: there is no such post-processor"),
        ({"size": 64, "merge": {"name": "nms", "iou": 1}}, "'nms' has no setting 'iou'"),
    ],
)
def test_what_does_not_fit_is_refused(value, message):
    with pytest.raises(UserError, match=message):
        tiling_of(value)


def test_a_tile_holds_a_cell_of_the_features():
    Tiling(size=32).require_stride(128)
    Tiling(size=8).require_stride(8)
    with pytest.raises(UserError, match=r"tiling\.size=\[64, 31\]: .* a tile needs 32 or more"):
        Tiling(size=(64, 31)).require_stride(32)


def test_words_are_read_without_hydra():
    words = ["a=b", "tiling={size: [64, 96], merge: {name: soft_nms}}", "tiling.full_image=true"]
    tiling, others = tiling_in_words(words)
    assert tiling == Tiling(size=(64, 96), merge={"name": "soft_nms"}, full_image=True)
    assert others == ["a=b"]
    assert tiling_in_words(["tiling=null"]) == (None, [])


def test_its_override_reads_back():
    tiling = Tiling(size=(64, 96), overlap=0.25, merge={"name": "nms", "iou_threshold": 0.6})
    assert tiling_in_words([tiling.override()])[0] == tiling


def test_words_that_cannot_be_read_are_refused():
    with pytest.raises(UserError, match=r"tiling=\{size: : cannot be read; write it like"):
        tiling_in_words(["tiling={size: "])
