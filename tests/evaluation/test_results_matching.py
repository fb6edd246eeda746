"""Rows of results files from other programs, matched with a data set."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detkit.errors import DataError
from detkit.evaluation.results_file import Row
from detkit.evaluation.results_matching import match_rows
from detkit.structures import DatasetIndex

CAT, DOG = (5.0, 16.0, 32.0, 44.0), (61.0, 22.0, 88.0, 46.0)
HEN, FOX = (32.0, 7.0, 51.0, 24.0), (48.0, 53.0, 77.0, 73.0)
BOXES = [CAT, DOG, HEN, FOX]  # two in each of two images


def index_of(names, image_ids=(2, 1), category_ids=(1, 2)):
    """Two images of 96 x 80 pixels with an object of class 0 and one of class 1 each."""
    files = [name.encode() for name in names]
    return DatasetIndex(
        root=Path("data"),
        class_names=["cat", "dog"],
        category_ids=list(category_ids),
        file_names=b"".join(files),
        file_offsets=np.cumsum([0, *map(len, files)]),
        image_ids=np.array(image_ids),
        sizes=np.array([[80, 96], [80, 96]], dtype=np.int32),
        object_offsets=np.array([0, 2, 4]),
        boxes=np.array(BOXES, dtype=np.float32),
        labels=np.array([0, 1, 0, 1]),
        ignored=np.zeros(4, dtype=np.bool_),
        areas=np.full(4, np.nan, dtype=np.float32),
    )


INDEX = index_of(["images/val/im0.png", "images/val/im1.png"])


def rows(images=(2, 2, 1, 1), names=(None,) * 4, categories=(1, 2, 1, 2), boxes=BOXES):
    columns = zip(images, names, categories, boxes, strict=True)
    return [Row(image, name, category, box, 0.9) for image, name, category, box in columns]


def matched(some, index=INDEX):
    return match_rows(some, index, "r.json", "validation")


def is_right(found, index=INDEX):
    """Whether all four detections match their objects."""
    order = [found.by_image[int(image)] for image in index.image_ids]
    boxes = [tuple(box) for image in order for box in image.boxes.tolist()]
    return boxes == BOXES and [x for image in order for x in image.labels.tolist()] == [0, 1, 0, 1]


FILES = {
    "relative": ["images/val/im0.png", "images/val/im1.png"],
    "absolute": ["/home/ann/data/images/val/im0.png", "/home/ann/data/images/val/im1.png"],
    "windows": ["C:\\data\\im0.png", "C:\\data\\im1.png"],
    "another suffix": ["im0.jpg", "im1.jpg"],
}


# pain 34
@pytest.mark.parametrize("kind", FILES)
def test_file_names_count_before_ids(kind):
    first, second = FILES[kind]
    found = matched(rows(images=(1, 1, 2, 2), names=(first, first, second, second)))
    assert is_right(found)
    assert found.notes == ["r.json: 4 detections in 2 of 2 images, matched by file_name."]


def test_ids_count_where_no_file_name_is_known():
    found = matched(rows(names=("x.png",) * 4))
    assert is_right(found)
    assert found.notes[0].endswith("by image_id (no file_name is in the data set).")


def test_ids_count_without_file_names():
    found = matched(rows())
    assert is_right(found)
    assert found.notes[0].endswith("matched by image_id.")


# pain 34
@pytest.mark.parametrize(
    ("files", "images"),
    [
        (["im0.png", "im1.png"], ("im0", "im0", "im1", "im1")),
        (["im0.png", "im1.png"], ("im0.png", "im0.png", "im1.png", "im1.png")),
        (["000139.jpg", "000285.jpg"], (139, 139, 285, 285)),
        (["000139.jpg", "000285.jpg"], ("000139", "000139", "000285", "000285")),
    ],
)
def test_stems_are_matched_as_yolo_val_writes_them(files, images):
    index = index_of(files)
    found = matched(rows(images=images), index)
    assert is_right(found, index)
    assert found.notes[0].endswith("matched by the stem in image_id.")


# pain 34
def test_numbers_that_are_ids_and_stems_are_matched_by_their_boxes():
    index = index_of(["0001.jpg", "0002.jpg"])  # whose ids are 2 and 1
    found = matched(rows(images=(1, 1, 2, 2)), index)
    assert is_right(found, index)
    assert "the stem in image_id (4 boxes are at objects, by image_id only 0)" in found.notes[0]


def test_a_name_that_two_images_share_is_not_guessed():
    index = index_of(["a/im.png", "b/im.png"])
    with pytest.raises(DataError, match="1 of its 1 image is not among"):
        matched(rows(images=("im.png",) * 4), index)
    with pytest.raises(DataError, match=r"such as file_name 'im\.png'"):
        matched(rows(images=(None,) * 4, names=("im.png",) * 4), index)
    found = matched(rows(names=("x/a/im.png", "a/im.png", "b/im.png", "/y/b/im.png")), index)
    assert is_right(found, index)


@pytest.mark.parametrize(
    ("some", "message"),
    [
        (rows(images=(2, 2, 7, 7)), r"1 of its 2 images is not among the 2 images .*image_id 7, "),
        (rows(images=("a", "a", "im1", "b")), r"2 of its 3 images are not .*image_id 'a'"),
        (rows(names=("x.png", "x.png", "im1.png", "im1.png")), "such as file_name 'x.png'"),
        (rows(categories=(1, 2, 7, 1)), r"category_id 7 is not one .*: 1 = cat, 2 = dog\. Write"),
        (
            [Row(None, "im0.png", 1, CAT, 0.9), Row(1, None, 1, CAT, 0.9)],
            "some rows have no image_id and others no file_name",
        ),
    ],
)
def test_rows_without_an_image_or_a_class_are_refused(some, message):
    with pytest.raises(DataError, match=message):
        matched(some)


# pain 34
@pytest.mark.parametrize(
    ("category_ids", "categories", "taken"),
    [
        ((1, 2), (0, 1, 0, 1), "numbered from 0: 0 = cat, 1 = dog"),
        ((0, 1), (1, 2, 1, 2), "numbered from 1: 1 = cat, 2 = dog"),
        ((7, 90), (0, 1, 0, 1), "numbered from 0: 0 = cat, 1 = dog"),
        ((7, 90), (1, 2, 1, 2), "numbered from 1: 1 = cat, 2 = dog"),
        ((7, 90), (8, 91, 8, 91), "numbered one too high: 8 = cat, 91 = dog"),
        ((7, 90), (6, 89, 6, 89), "numbered one too low: 6 = cat, 89 = dog"),
    ],
)
def test_categories_that_count_the_classes_are_taken_so(category_ids, categories, taken):
    index = replace(INDEX, category_ids=list(category_ids))
    found = matched(rows(categories=categories), index)
    assert is_right(found, index)
    assert f"they are taken as classes {taken}." in found.notes[1]


def test_class_names_are_categories():
    assert is_right(matched(rows(categories=("cat", "dog", "cat", "dog"))))


def test_shifted_valid_categories_raise_doubt():
    index = replace(INDEX, labels=np.array([1, 1, 1, 1]))
    found = matched(rows(categories=(1, 1, 1, 1)), index)
    assert "4 boxes at objects 0 have the object's class, but 4 would if" in found.notes[1]


# pain 34
def test_valid_categories_off_by_one_raise_doubt():
    names = ["cat", "dog", "hen"]
    index = replace(INDEX, class_names=names, category_ids=[1, 2, 3])
    found = matched(rows(categories=(2, 3, 2, 3)), index)
    assert "4 would if category ids were classes numbered one too high: check" in found.notes[1]


def test_classes_that_are_all_wrong_raise_doubt():
    found = matched(rows(categories=(2, 1, 2, 1)))
    assert found.notes[1].startswith("warning: none of 4 boxes at objects has the object's class")


def test_categories_that_fit_no_object_are_not_guessed():
    index = replace(INDEX, category_ids=[7, 90])
    with pytest.raises(DataError, match="category_id 8 is not one of"):
        matched(rows(categories=(8, 91, 8, 91), boxes=[(90, 70, 95, 79)] * 4), index)


def corners(box):
    """The box from reading x1, y1, x2, y2 as x, y, width, height."""
    return (box[0], box[1], box[0] + box[2], box[1] + box[3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (corners, "if bbox held x1, y1, x2, y2: write"),
        (lambda b: (b[0] / 96, b[1] / 80, b[2] / 96, b[3] / 80), "held shares of the image"),
        (lambda b: (90, 70, 95, 79), "none of 4 boxes is at an object of its image"),
    ],
)
def test_boxes_beside_the_objects_are_doubted(change, message):
    found = matched(rows(boxes=[change(box) for box in BOXES]))
    assert message in found.notes[1]


def test_a_file_without_detections_says_so():
    assert matched([]).notes == ["r.json: no detections."]


RUNS = {"size": [80, 96], "counts": [16 + 80 * 5, 28, 80 * 90 + 36]}  # a column of CAT
POLYGON = [[61.0, 22, 88, 22, 88, 46]]


def with_segmentations(*segmentations):
    return [row._replace(segmentation=s) for row, s in zip(rows(), segmentations, strict=True)]


def test_segmentations_become_masks_best_first():
    some = with_segmentations(RUNS, POLYGON, None, POLYGON)
    some[0] = some[0]._replace(score=0.1)
    first = matched(some).by_image[2]
    assert first.labels.tolist() == [1, 0]
    areas = [int(first.masks.window(n).bitmap.sum()) for n in range(2)]
    assert areas[0] == pytest.approx(27 * 24 / 2, rel=0.1)
    assert areas[1] == 28
    assert not matched(some).by_image[1].masks.window(0).bitmap.any()


def test_rows_without_segmentations_have_no_masks():
    assert matched(rows()).by_image[2].masks is None


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [96, 80], "counts": [7680]},
        {"size": [80, 96], "counts": [80]},
        {"counts": "abc"},
        [[1.0, 2, 3, 4]],
        [[1.0, 2, 3, 4, 5, 6, 7]],
        [1.0, 2, 3, 4, 5, 6],
        "mask",
    ],
)
def test_a_segmentation_of_no_known_form_is_refused(segmentation):
    some = with_segmentations(None, segmentation, None, None)
    with pytest.raises(DataError, match=r"r.json: a detection of image 2, 96 x 80 pixels, has"):
        matched(some)
