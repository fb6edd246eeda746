"""Labelme, CVAT and OpenImages, read with globox."""

import json

import pytest
from PIL import Image

from detkit.data.readers.auto import detect
from detkit.data.readers.cvat import CvatReader
from detkit.data.readers.labelme import LabelmeReader
from detkit.data.readers.openimages import OpenImagesReader
from detkit.errors import DataError

READERS = {"labelme": LabelmeReader, "cvat": CvatReader, "openimages": OpenImagesReader}


@pytest.mark.parametrize("name", READERS)
def test_formats_are_recognised_by_content(request, name):
    assert isinstance(detect(request.getfixturevalue(name)), READERS[name])


@pytest.mark.parametrize("name", ["labelme", "cvat"])
def test_boxes_and_outlines_give_boxes(request, name):
    reader, folder = READERS[name](), request.getfixturevalue(name)
    assert reader.splits(folder) == ["train", "val"]
    index = reader.read(folder, "train")
    assert index.class_names == ["cat", "dog"]
    assert index.boxes.tolist() == [[2, 3, 12.5, 8], [5, 6, 30, 29]]
    assert index.unused["polygon (only its box is used)"] == 1
    empty = reader.read(folder, "val")
    assert (len(empty), len(empty.labels), empty.class_names) == (1, 0, ["cat", "dog"])


def test_openimages_are_shares_with_names_and_groups(openimages):
    reader = OpenImagesReader()
    assert reader.splits(openimages) == ["train", "validation"]
    index = reader.read(openimages, "train")
    assert index.class_names == ["Cat", "Dog"]
    assert index.boxes.tolist() == [[2, 3, 12, 15], [20, 15, 40, 30]]
    assert index.ignored.tolist() == [False, True]
    assert index.unused == {"IsTruncated": 1}
    assert len(reader.read(openimages, "validation")) == 1  # 0c is not here


@pytest.mark.parametrize("name", READERS)
def test_without_the_library_the_remedy_is_named(request, name, monkeypatch):
    reader, folder = READERS[name](), request.getfixturevalue(name)
    monkeypatch.setitem(__import__("sys").modules, "globox", None)
    with pytest.raises(DataError, match=r'not installed: pip install "detkit\[formats\]"'):
        reader.read(folder, "train")


@pytest.mark.parametrize("name", READERS)
def test_another_folder_is_refused(tmp_path, name):
    pytest.importorskip("globox")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match=r"looked for \*\.\w+ with"):
        READERS[name]().read(tmp_path, None)


def edit(file, change):
    page = json.loads(file.read_text())
    change(page)
    file.write_text(json.dumps(page))


def test_the_image_at_the_path_of_a_labelme_file_is_the_one(labelme, pictures):
    pictures(labelme / "copies/images/train/a.jpg")  # as labelme2yolo makes them
    index = LabelmeReader().read(labelme, "train")
    assert [index.path(0), len(index.boxes)] == [labelme / "train/a.jpg", 2]


def test_labelme_circles_give_boxes_and_points_are_named(labelme):
    shapes = [
        {"label": "cat", "shape_type": "circle", "points": [[20, 15], [24, 12]]},
        {"label": "cat", "shape_type": "point", "points": [[20, 15]]},
    ]
    edit(labelme / "train/a.json", lambda page: page.update(shapes=shapes))
    index = LabelmeReader().read(labelme, "train")
    assert index.boxes.tolist() == [[15, 10, 25, 20]]
    assert "1 shape (a point gives no box): train/a.jpg" in index.notes[0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"shapes": 3}, "unreadable"),
        ({"imageHeight": "tall"}, "unreadable"),
        ({"shapes": [{"label": "cat", "points": [[1]]}]}, "no four numbers"),
        ({"shapes": [{"points": [[1, 2], [3, 4]]}]}, "without a class"),
        ({"imageHeight": 31}, "size differs"),
    ],
)
def test_faulty_labelme_files_are_left_out_and_named(labelme, change, why):
    edit(labelme / "train/a.json", lambda page: page.update(change))
    if change == {"shapes": 3}:
        (labelme / "train/a.json").write_text('{"shapes": [], "x": }')
    index = LabelmeReader().read(labelme, None)
    assert any(why in line for line in index.dropped)


def test_images_and_pages_without_counterpart_are_named(labelme):
    Image.new("RGB", (40, 30)).save(labelme / "train/lone.jpg")
    (labelme / "val/c.json").write_text((labelme / "val/b.json").read_text().replace("b.jpg", "c"))
    assert LabelmeReader().read(labelme, "train").pairing.images_without_annotation == [
        "train/lone.jpg"
    ]
    assert LabelmeReader().read(labelme, "val").pairing.annotations_without_image == ["val/c.json"]


CVAT_SHAPES = {
    '<box label="a" xtl="10" ytl="10" xbr="20" ybr="14" rotation="90"/>': [13, 7, 17, 17],
    '<ellipse label="a" cx="20" cy="15" rx="4" ry="3"/>': [16, 12, 24, 18],
    '<mask label="a" left="3" top="4" width="5" height="6" rle="1"/>': [3, 4, 8, 10],
}


@pytest.mark.parametrize("shape", CVAT_SHAPES)
def test_cvat_shapes_give_the_box_around_them(cvat, shape):
    file = cvat / "annotations.xml"
    file.write_text(file.read_text().replace("<polygon", f"{shape}<polygon"))
    index = CvatReader().read(cvat, "train")
    assert index.boxes[1].tolist() == pytest.approx(CVAT_SHAPES[shape], abs=1e-4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotations><track/></annotations>", 'of a video .* as "CVAT for images 1.1"'),
        ("<annotations><image>", "cannot be read as XML"),
        (
            '<!DOCTYPE a [<!ENTITY e "x">]><annotations><image name="&e;"/></annotations>',
            "cannot be read as XML",
        ),
    ],
)
def test_other_cvat_files_are_refused(cvat, text, message):
    (cvat / "annotations.xml").write_text(text)
    with pytest.raises(DataError, match=message):
        CvatReader().read(cvat, None)
