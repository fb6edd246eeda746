"""data.yaml, obj.data and lists of class names."""

import pytest

from detkit.data.readers.yolo_reader import YoloReader, fits
from detkit.errors import DataError


def class_names(yolo):
    return YoloReader().read(yolo, "train").class_names


# pain 31
@pytest.mark.parametrize(("written", "names"), [
    ("[on, off]", ["on", "off"]),
    ("[01, 1.10]", ["01", "1.10"]),
    ("{0: null, 1: 2024-01-01}", ["null", "2024-01-01"]),
    ("{'0': yes, '1': ~}", ["yes", "~"]),
    ("\n  - 1e3\n  - 0x10", ["1e3", "0x10"]),
])  # fmt: skip
def test_class_names_are_text_as_written(yolo, written, names):
    (yolo / "data.yaml").write_text(f"nc: 2\nnames: {written}\n")
    assert class_names(yolo) == names


@pytest.mark.parametrize("entry", ["my.names", "data/my.names", "/content/x/my.names"])
def test_names_may_point_to_a_file(yolo, entry):
    (yolo / "my.names").write_text("on\n01\n")
    (yolo / "data.yaml").write_text(f"names: {entry}\n")
    assert class_names(yolo) == ["on", "01"]


def test_a_page_may_have_any_name(yolo):
    (yolo / "data.yaml").rename(yolo / "my_coco.yaml")
    assert class_names(yolo) == ["dog", "cat"]


def test_a_yaml_file_of_something_else_is_no_page(yolo):
    (yolo / "a.yaml").write_text("learning_rate: [")
    (yolo / "data.yaml").rename(yolo / "z.yml")
    assert class_names(yolo) == ["dog", "cat"]


@pytest.mark.parametrize("file", ["classes.txt", "obj.names", "labels/train/classes.txt",
                                  "train/_darknet.labels"])  # fmt: skip
def test_a_list_names_the_classes(yolo, file):
    (yolo / "data.yaml").unlink()
    (yolo / file).parent.mkdir(exist_ok=True)
    (yolo / file).write_text("dog\ncat\n\n")
    assert fits(yolo)
    assert class_names(yolo) == ["dog", "cat"]


def test_lists_that_differ_are_an_error(yolo):
    (yolo / "data.yaml").unlink()
    for split, names in (("train", "dog\ncat"), ("val", "cat\ndog")):
        (yolo / "labels" / split / "classes.txt").write_text(names)
    with pytest.raises(DataError, match=r"name different classes: keep one of them"):
        class_names(yolo)


def test_a_blank_line_between_names_is_an_error(yolo):
    (yolo / "data.yaml").unlink()
    (yolo / "classes.txt").write_text("dog\n\ncat\n")
    with pytest.raises(DataError, match=r"classes\.txt' line 2 is blank"):
        class_names(yolo)


def test_darknet_counts_its_classes(yolo):
    (yolo / "data.yaml").unlink()
    (yolo / "obj.names").write_text("dog\ncat\n")
    (yolo / "obj.data").write_text("classes = 3\nnames = data/obj.names # two\n")
    with pytest.raises(DataError, match=r"obj\.data' says classes: 3 but names 2 classes"):
        class_names(yolo)


# pain 61
def test_several_pages_that_differ_are_not_guessed(yolo):
    (yolo / "data.yaml").rename(yolo / "pets.yaml")
    (yolo / "coco.yaml").write_text("names: [a, b]\n")
    with pytest.raises(DataError, match=r"they differ: coco\.yaml, pets\.yaml\. Rename the right"):
        YoloReader().splits(yolo)


def test_the_page_of_a_usual_name_is_read_and_the_other_named(yolo, caplog):
    (yolo / "a.yaml").write_text("names: [a, b]\n")
    (yolo / "b.yaml").write_text((yolo / "data.yaml").read_text())
    with caplog.at_level("INFO", logger="detkit"):
        YoloReader().splits(yolo)
    assert caplog.messages == [
        f"{yolo}: reading data.yaml because of its usual name, not a.yaml, which differs; to read "
        "another file, rename it to data.yaml"
    ]
    assert class_names(yolo) == ["dog", "cat"]
