"""XML files and images of Pascal VOC, wherever annotation tools put them."""

import logging
from pathlib import Path

import pytest

from detkit.data.readers.auto import AutoReader
from detkit.data.readers.voc_reader import VocReader
from detkit.errors import DataError

PAGE = """<annotation><filename>{}</filename><object><name>cat</name>{}
<bndbox><xmin>{}</xmin><ymin>2</ymin><xmax>20</xmax><ymax>9</ymax></bndbox></object></annotation>"""


@pytest.fixture
def write(tmp_path, pictures):
    """Write images and XML files by path; the box of the n-th file starts at pixel n."""

    def _write(*names, file_name="old.jpg", mark=""):
        for number, name in enumerate(names, start=1):
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix == ".xml":
                file.write_text(PAGE.format(file_name, mark, number + 1))
            else:
                pictures(file)
        return tmp_path

    return _write


def boxes(index):
    """The left edge of the box in each image."""
    names = [index.path(n).relative_to(index.root).as_posix() for n in range(len(index))]
    return dict(zip(names, index.boxes[:, 0].tolist(), strict=True))


@pytest.mark.parametrize(("xml", "image"), [
    ("a.xml", "a.jpg"),  # LabelImg
    ("annots/a.xml", "images/a.jpg"),
    ("labels/a.xml", "data/a.jpg"),  # FiftyOne
    ("xml/a.xml", "pictures of cats/a.png"),
    ("Annotations/sub/folder/a.xml", "JPEGImages/sub/folder/a.jpg"),
    ("Annotations/a.xml", "JPEGImages/A.JPG"),
    ("Annotations/a.jpg.xml", "images/a.jpg"),
    ("VOCdevkit/VOC2007/Annotations/a.xml", "VOCdevkit/VOC2007/JPEGImages/a.jpg"),
    ("export/pascal/a.xml", "a.bmp"),
])  # fmt: skip
def test_xml_is_read_beside_any_images(write, xml, image):
    folder = write(xml, image)
    assert AutoReader().splits(folder) == []
    assert boxes(AutoReader().read(folder, None)) == {image: 1}


# pain 28
def test_xml_in_sub_folders_is_read(write):
    folder = write("Annotations/a.xml", "Annotations/more/b.xml", "images/a.jpg", "images/b.jpg")
    assert boxes(AutoReader().read(folder, None)) == {"images/a.jpg": 1, "images/b.jpg": 2}


@pytest.mark.parametrize("pattern", [
    "{}/a.xml {}/a.jpg",  # Roboflow
    "{}/annotations/a.xml {}/images/a.jpg",
    "annotations/{}/a.xml images/{}/a.jpg",
    "xml_{}/a.xml img_{}/a.jpg",
])  # fmt: skip
def test_folders_are_splits_and_never_share_images(write, pattern):
    names = [pattern.replace("{}", split).split() for split in ("train", "valid", "test")]
    folder = write(*(name for pair in names for name in pair))
    reader = AutoReader()
    assert reader.splits(folder) == ["test", "train", "valid"]
    for number, (split, pair) in enumerate(zip(("train", "valid", "test"), names, strict=True)):
        assert boxes(reader.read(folder, split)) == {pair[1]: 2 * number + 1}


def test_folders_of_images_alone_are_splits(write):
    folder = write("xml/a.xml", "xml/b.xml", "images/train/a.jpg", "images/val/b.jpg")
    assert AutoReader().splits(folder) == ["train", "val"]
    assert boxes(AutoReader().read(folder, "val")) == {"images/val/b.jpg": 2}


@pytest.mark.parametrize(("name", "lines"), [
    ("ImageSets/Main/train.txt", "a\n"),
    ("ImageSets/train.txt", "A.JPG\n"),
    ("train.txt", "./images/a.jpg ./xml/a.xml\n"),  # PaddleDetection
    ("train.txt", "C:\\data\\images\\a.jpg\n"),
    ("ImageSets/Main/cat_train.txt", "a.jpg 1\n"),  # VoTT
])  # fmt: skip
def test_lists_of_splits(write, name, lines):
    folder = write("xml/a.xml", "xml/b.xml", "images/a.jpg", "images/b.jpg")
    for split, text in (
        ("train", lines),
        ("val", lines.replace("a.", "b.").replace("a\n", "b\n").replace("A.", "B.")),
    ):
        file = folder / name.replace("train", split)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert VocReader().splits(folder) == ["train", "val"]
    assert boxes(VocReader().read(folder, "val")) == {"images/b.jpg": 2}


def test_a_list_of_all_images_is_no_split(write):
    folder = write("Annotations/a.xml", "JPEGImages/a.jpg")
    (folder / "ImageSets/Main").mkdir(parents=True)  # as CVAT exports it
    (folder / "ImageSets/Main/default.txt").write_text("a\n")
    assert VocReader().splits(folder) == []


def test_two_years_are_read_as_one_and_named(write, caplog):
    years = ("VOC2007", "VOC2012")
    folder = write(*(f"{y}/{n}" for y in years for n in ("Annotations/a.xml", "JPEGImages/a.jpg")))
    for year in years:
        (folder / year / "ImageSets/Main").mkdir(parents=True)
        (folder / year / "ImageSets/Main/train.txt").write_text("a\n")
    with caplog.at_level(logging.INFO, logger="detkit"):
        assert VocReader().splits(folder) == ["train"]
    assert caplog.messages == [f"{folder}: reading several Pascal VOC data sets as one: "
                               "VOC2007, VOC2012"]  # fmt: skip
    index = VocReader().read(folder, "train")
    assert boxes(index) == {"VOC2007/JPEGImages/a.jpg": 1, "VOC2012/JPEGImages/a.jpg": 3}


def test_masks_of_the_same_name_are_not_the_image(write):
    folder = write("Annotations/a.xml", "JPEGImages/a.jpg", "SegmentationClass/a.png",
                   "Annotations/trimaps/a.png")  # fmt: skip
    assert boxes(VocReader().read(folder, None)) == {"JPEGImages/a.jpg": 1}


def test_an_image_without_that_name_is_the_one_in_filename(write):
    folder = write("labels/1.xml", "data/cat.jpg", file_name="C:\\photos\\cat.jpg")
    index = VocReader().read(folder, None)
    assert boxes(index) == {"data/cat.jpg": 1}
    assert index.pairing.matches == {"the name in <filename>": 1}


# pain 28
def test_a_second_xml_of_an_image_is_skipped_and_named(write):
    folder = write("labels/a.xml", "labels/old/a.xml", "images/a.jpg")
    index = VocReader().read(folder, None)
    assert boxes(index) == {"images/a.jpg": 1}
    assert index.dropped == [
        "1 annotation file (another XML file annotates its image): labels/old/a.xml (labels/a.xml)"
    ]


# pain 26
def test_xml_never_takes_an_image_of_another_split(write):
    folder = write("train/a.xml", "train/b.jpg", "train/b.xml", "val/a.jpg", "val/a.xml")
    index = VocReader().read(folder, "train")
    assert boxes(index) == {"train/b.jpg": 3}
    assert index.pairing.annotations_without_image == ["train/a.xml"]
    (folder / "train/b.jpg").unlink()
    with pytest.raises(DataError, match=r"no usable image .*2 XML files without an image"):
        VocReader().read(folder, "train")


@pytest.mark.parametrize(("mark", "ignored"), [
    ("1", True), ("true", True), ("True", True), ("yes", True), (" 1 ", True), ("1.0", True),
    ("0", False), ("false", False), ("no", False), ("", False), ("Unspecified", False),
])  # fmt: skip
def test_difficult_in_any_spelling(write, mark, ignored):
    folder = write("a.xml", "a.jpg", mark=f"<difficult>{mark}</difficult>")
    assert VocReader().read(folder, None).ignored.tolist() == [ignored]


def test_folders_can_be_named(write):
    folder = write("new/train/a.xml", "old/train/a.xml", "p/train/a.jpg", "q/train/a.jpg")
    reader = VocReader(annotations="old", images="q")
    assert boxes(reader.read(folder, None)) == {"q/train/a.jpg": 2}
    reader = VocReader(annotations="new/{split}", images="p/{split}")
    assert reader.splits(folder) == ["train"]
    assert boxes(reader.read(folder, "train")) == {"p/train/a.jpg": 1}
    with pytest.raises(DataError, match=r"no folder '.*nope': correct data.reader.annotations"):
        VocReader(annotations="nope").splits(folder)
    with pytest.raises(DataError, match=r"no images in '.*nope': correct data.reader.images"):
        VocReader(images="nope").read(folder, None)


def test_other_xml_is_passed_over(write):
    folder = write("a.xml", "a.jpg")
    (folder / "settings").mkdir()
    (folder / "settings" / "project.xml").write_text("<project/>")
    assert VocReader().read(folder, None).dropped == []


def test_images_in_the_folder_above_are_named(write):
    folder = write("Annotations/a.xml", "JPEGImages/a.jpg")
    with pytest.raises(DataError, match=rf"1 XML file but no images.*set data.path to '{folder}'"):
        VocReader().read(folder / "Annotations", None)


def test_the_working_folder_is_a_data_set(write, monkeypatch):
    folder = write("Annotations/a.xml", "JPEGImages/a.jpg")
    monkeypatch.chdir(folder)
    assert boxes(AutoReader().read(Path(), None)) == {"JPEGImages/a.jpg": 1}
    monkeypatch.chdir(folder / "Annotations")
    with pytest.raises(DataError, match=rf"set data.path to '{folder}'"):
        AutoReader().read(Path(), None)


def test_images_without_xml_and_xml_without_an_image_are_named(write):
    folder = write("train/a.xml", "train/a.jpg", "train/b.xml", "train/c.jpg",
                   "val/a.xml", "val/a.jpg", "val/d.jpg", "elsewhere/e.jpg")  # fmt: skip
    pairing = VocReader().read(folder, "train").pairing
    assert pairing.annotations_without_image == ["train/b.xml"]
    assert pairing.images_without_annotation == ["train/c.jpg"]
    assert not pairing.images_train


def test_images_that_a_list_leaves_out_are_not_missed(write, voc):
    (voc / "JPEGImages" / "d.jpg").write_bytes((voc / "JPEGImages" / "a.jpg").read_bytes())
    assert VocReader().read(voc, "train").pairing.images_without_annotation == []
    assert VocReader().read(voc, None).pairing.images_without_annotation == ["JPEGImages/d.jpg"]


def test_xml_outside_of_the_folder_for_annotations_is_named(write, caplog):
    folder = write("Annotations/a.xml", "JPEGImages/a.jpg", "old/a.xml", "old/a.jpg")
    with caplog.at_level(logging.INFO, logger="detkit"):
        VocReader().splits(folder)
    assert (
        "1 XML file outside the annotation folder is not read, such as old/a.xml"
        in (caplog.messages[0])
    )
    assert boxes(VocReader().read(folder, None)) == {"JPEGImages/a.jpg": 1}
