import shutil

import pytest

from detkit.data.readers.yolo_reader import YoloReader
from detkit.errors import DataError


def test_shares_of_the_image_become_pixels(yolo):  # 40 wide, 30 high
    index = YoloReader().read(yolo, "train")
    assert index.boxes[0].tolist() == pytest.approx([10, 12, 30, 18])
    assert index.labels.tolist() == [1]


def test_classes_keep_the_order_of_the_file(yolo):
    index = YoloReader().read(yolo, "train")
    assert (index.class_names, index.category_ids) == (["dog", "cat"], [1, 2])


# pain 14
def test_an_image_without_a_label_file_has_no_objects(yolo):
    assert YoloReader().read(yolo, "train").object_offsets.tolist() == [0, 1, 1]


def test_splits_are_the_folders(yolo):
    assert YoloReader().splits(yolo) == ["train", "val"]
    assert len(YoloReader().read(yolo, None)) == 3


def test_exports_with_the_split_first(tmp_path, pictures):
    for split in ("train", "valid"):
        pictures(tmp_path / split / "images" / "a.jpg")
        (tmp_path / split / "labels").mkdir()
        (tmp_path / split / "labels" / "a.txt").write_text("0 .5 .5 1 1")
    page = "train: ../train/images\nval: ../valid/images\nnames: [dog]\n"
    (tmp_path / "data.yaml").write_text(page)
    assert YoloReader().splits(tmp_path) == ["train", "val"]
    assert YoloReader().read(tmp_path, "val").boxes.tolist() == [[0, 0, 40, 30]]


def test_a_flat_folder_with_classes_txt(tmp_path, pictures):
    pictures(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("0 .5 .5 .5 .5")
    (tmp_path / "classes.txt").write_text("dog\ncat\n")
    assert YoloReader().splits(tmp_path) == []
    index = YoloReader().read(tmp_path, None)
    assert index.boxes.tolist() == [[10, 7.5, 30, 22.5]]
    assert index.class_names == ["dog", "cat"]


def test_lists_of_images(yolo):
    (yolo / "mine.txt").write_text("./images/train/a.jpg\n")
    (yolo / "data.yaml").write_text("train: mine.txt\nnames: [dog, cat]\n")
    index = YoloReader().read(yolo, "train")
    assert [index.path(i).name for i in range(len(index))] == ["a.jpg"]


def test_polygons_count_as_their_bounding_boxes(yolo):
    (yolo / "labels/train/a.txt").write_text("0 0.25 0.5 0.5 0.1 0.75 0.9\n")
    assert YoloReader().read(yolo, "train").boxes[0].tolist() == pytest.approx([10, 3, 30, 27])


@pytest.mark.parametrize(("width", "told"), [(0.50004, False), (0.5002, True)])  # 40 pixels
def test_overshoot_by_rounding_is_clipped_without_a_note(yolo, width, told):
    (yolo / "labels/train/a.txt").write_text(f"0 0.75 0.5 {width} 0.2\n")
    index = YoloReader().read(yolo, "train")
    assert index.boxes[0, 2] == 40
    assert len(index.notes) == told


def test_faulty_lines_are_dropped_and_named(yolo):
    lines = ["9 .5 .5 .1 .1", "0 .5 .5 .1", "0 a b c d", "0.5 .5 .5 .1 .1", "0 .5 .5 0 .1"]
    lines += ["0 5 5 .1 .1", "", "0 .5 .5 nan .1", "0 .5 .5 .5 .5"]
    (yolo / "labels/train/a.txt").write_text("\n".join(lines))
    index = YoloReader().read(yolo, "train")
    assert len(index.boxes) == 1
    assert set(index.dropped) == {
        "1 box (class 9 of 2, counted from 0): images/train/a.jpg (label line 1)",
        "3 boxes (not `class cx cy w h`): images/train/a.jpg "
        "(label line 2, label line 3, label line 4)",
        "1 box (no area): images/train/a.jpg (label line 5)",
        "1 box (values above 1, which cannot be fractions of the image size): images/train/a.jpg "
        "(label line 6)",
        "1 box (not finite): images/train/a.jpg (label line 8)",
    }


def test_missing_class_names_are_an_error(yolo):
    (yolo / "data.yaml").unlink()
    with pytest.raises(DataError, match=r"does not name its classes: add data\.yaml"):
        YoloReader().read(yolo, "train")
    assert YoloReader(class_names=["x", "y"]).read(yolo, "train").class_names == ["x", "y"]


def test_a_broken_page_is_an_error(yolo):
    (yolo / "data.yaml").write_text("names: [")
    with pytest.raises(DataError, match=r"data.yaml' line 1 is no valid YAML"):
        YoloReader().read(yolo, "train")


def test_images_without_any_label_are_an_error(yolo):
    shutil.rmtree(yolo / "labels")
    with pytest.raises(DataError, match="no annotations for its 2 images"):
        YoloReader().read(yolo, "train")


def test_unknown_split_names_the_known_ones(yolo):
    with pytest.raises(DataError, match=r"no split 'test'.*train, val"):
        YoloReader().read(yolo, "test")
