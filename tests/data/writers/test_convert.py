import json
import re
import shutil

import pytest
import yaml

from detkit.data.readers.auto import AutoReader
from detkit.data.readers.coco_reader import CocoReader
from detkit.data.readers.voc_reader import VocReader
from detkit.data.readers.yolo_reader import YoloReader
from detkit.data.writers import convert as conversion
from detkit.data.writers.convert import COPY, Count, check_words, convert
from detkit.errors import DataError, UserError


@pytest.fixture
def target(tmp_path_factory):
    return tmp_path_factory.mktemp("converted") / "new" / "data"


@pytest.mark.parametrize("fixture", ["coco", "voc", "yolo"])
@pytest.mark.parametrize("to", ["coco", "voc", "yolo"])
def test_splits_images_and_objects_are_kept(request, target, fixture, to):
    source = request.getfixturevalue(fixture)
    report = convert(source, target, to=to, keep_ignored=True)
    assert (report.source, report.target) == (fixture, to)
    reader = conversion.READERS[to]()
    assert AutoReader().splits(target) == reader.splits(target) == ["train", "val"]
    for split in ("train", "val"):
        first, second = AutoReader().read(source, split), reader.read(target, split)
        assert first.boxes.tolist() == second.boxes.tolist()
        assert first.class_names == second.class_names
        assert first.sizes.tolist() == second.sizes.tolist()
        assert first.object_offsets.tolist() == second.object_offsets.tolist()
        names = [[i.path(n).name for n in range(len(i))] for i in (first, second)]
        assert names[0] == names[1]


# pain 12
def test_coco_keeps_its_own_ids(coco, target):
    images = [{"id": 77, "file_name": "c.jpg"}]
    page = {
        "images": images,
        "categories": [{"id": 90, "name": "dog"}],
        "annotations": [
            {"image_id": 77, "category_id": 90, "bbox": [1, 1, 4, 4], "area": 9.5, "iscrowd": 1}
        ],
    }
    (coco / "annotations/instances_val2017.json").write_text(json.dumps(page))
    convert(coco, target, to="coco", splits=["val"])
    index = CocoReader().read(target, "val")
    assert (index.image_ids.tolist(), index.category_ids) == ([77], [90])
    assert (index.areas.tolist(), index.ignored.tolist()) == ([9.5], [True])


def test_a_data_set_without_splits_stays_so(coco, target):
    shutil.move(coco / "annotations/instances_val2017.json", coco / "annotations.json")
    shutil.move(coco / "val2017", coco / "images")
    shutil.rmtree(coco / "annotations")
    for to in ("coco", "voc", "yolo"):
        report = convert(coco, target / to, to=to)
        assert report.splits == {"": Count(1, 1)}
        assert AutoReader().splits(target / to) == []
        assert len(AutoReader().read(target / to, None).boxes) == 1


def test_a_split_that_shares_images_has_them_once(voc, target):
    (voc / "ImageSets/Main/trainval.txt").write_text("a\nb\nc\n")
    convert(voc, target, to="yolo")
    assert sorted(p.name for p in target.rglob("*.jpg")) == ["a.jpg", "b.jpg", "c.jpg"]
    page = yaml.safe_load((target / "data.yaml").read_text())
    assert page == {"train": "images/train", "val": "images/val", "trainval": "trainval.txt",
                    "names": {0: "cat", 1: "dog"}}  # fmt: skip
    lines = (target / "trainval.txt").read_text().splitlines()
    assert lines == ["./images/train/a.jpg", "./images/train/b.jpg", "./images/val/c.jpg"]
    assert YoloReader().splits(target) == ["train", "trainval", "val"]


def test_yolo_splits_have_the_names_that_its_tools_want(coco, target):
    for name in ("instances_val2017.json", "instances_train2017.json"):
        file = coco / "annotations" / name
        file.rename(file.with_name(name.replace("val2017", "valid").replace("train2017", "train")))
    (coco / "val2017").rename(coco / "valid")
    (coco / "train2017").rename(coco / "train")
    report = convert(coco, target, to="yolo")
    assert "the split 'valid' is called 'val'" in report.losses
    assert set(yaml.safe_load((target / "data.yaml").read_text())) == {"train", "val", "names"}


def test_images_without_objects_have_an_empty_label_file(voc, target):
    convert(voc, target, to="yolo")
    assert (target / "labels/train/b.txt").read_text() == ""


def test_only_some_splits(coco, target):
    assert list(convert(coco, target, to="voc", splits=["val"]).splits) == ["val"]
    with pytest.raises(DataError, match=r"split=tset: the data set has no such split; it has tr"):
        convert(coco, target.parent / "other", to="voc", splits=["tset"])


def test_images_are_linked_or_copied_or_left_where_they_are(voc, target):
    source = voc / "JPEGImages" / "a.jpg"
    for how in COPY:
        report = convert(voc, target / how, to="coco", copy=how)
        written = target / how / "images" / "a.jpg"
        assert written.exists() == (how != "none")
        assert how == "none" or written.samefile(source) == (how == "link")
        assert report.images == {"link": {"linked": 3}, "copy": {"copied": 3}, "none": {}}[how]


def test_links_that_cannot_be_made_become_copies(voc, target, monkeypatch):
    def refuse(*_):
        raise OSError("other device")

    monkeypatch.setattr(conversion.os, "link", refuse)
    assert convert(voc, target, to="coco").images == {"copied": 3}


def test_names_that_clash_are_changed_and_said(tmp_path, target, pictures, coco_files):
    names = ["x/a.jpg", "y/a.jpg", "a.png", "two\nlines.jpg", "A.JPG"]
    for name in names:
        pictures(tmp_path / "images" / name)
    coco_files(tmp_path / "annotations.json", names, [])
    report = convert(tmp_path, target, to="voc")
    written = sorted(file.name for file in (target / "JPEGImages").iterdir())
    assert len({name.casefold().rsplit(".", 1)[0] for name in written}) == 5
    assert "two_lines.jpg" in written
    assert any(
        line.startswith("4 images renamed, so that names differ: ") for line in report.losses
    )
    assert len(VocReader().read(target, None)) == 5


def test_one_file_with_other_objects_in_another_split_is_two_images(coco, coco_files, target):
    objects = [{"image_id": 1, "category_id": 7, "bbox": [9, 9, 3, 3]}]
    coco_files(coco / "annotations/instances_val2017.json", ["../train2017/a.jpg"], objects)
    convert(coco, target, to="voc", keep_ignored=True)
    assert VocReader().read(target, "val").boxes.tolist() == [[9, 9, 12, 12]]
    assert len(VocReader().read(target, "train").boxes) == 2


def test_losses_of_a_conversion_are_reported(coco, target):
    file = coco / "annotations/instances_train2017.json"
    page = json.loads(file.read_text())
    page["annotations"][0]["segmentation"] = [[1, 2, 3, 4, 5, 6]]
    page["annotations"][0]["bbox"] = [2, 3, 10.5, 5]
    file.write_text(json.dumps(page))
    to_voc = "\n".join(convert(coco, target / "voc", to="voc").losses)
    to_yolo = "\n".join(convert(coco, target / "yolo", to="yolo").losses)
    for text in (to_voc, to_yolo):
        assert "have no place for are not kept: segmentation" in text
        assert "COCO's info, licenses, dates" in text
        assert "ids of images and categories are not kept" in text
        assert "areas of 2 objects that differ from their boxes' are not kept" in text
    assert "1 crowd object written as difficult=1" in to_voc
    assert "1 of 3 boxes written with fractions of a pixel" in to_voc
    assert "1 crowd object left out: YOLO has no mark for it" in to_yolo
    assert len(YoloReader().read(target / "yolo", "train").boxes) == 1


@pytest.fixture
def marked(voc):
    """The objects of an image: without area, truncated and seen from the left, neither."""
    marks = [(5, 5, "0", "Unspecified"), (5, 9, "1", "Left"), (15, 19, "", "Unspecified")]
    objects = "".join(
        f"<object><name>cat</name><pose>{pose}</pose><truncated>{truncated}</truncated><bndbox>"
        f"<xmin>{low}</xmin><ymin>5</ymin><xmax>{high}</xmax><ymax>20</ymax></bndbox></object>"
        for low, high, truncated, pose in marks
    )
    (voc / "Annotations/b.xml").write_text(f"<annotation>{objects}</annotation>")
    return voc


def test_truncated_and_pose_are_kept_from_voc_to_voc(marked, target):
    report = convert(marked, target, to="voc")
    assert report.losses == []
    text = (target / "Annotations/b.xml").read_text()
    assert re.findall("<truncated>(.*?)</truncated>", text) == ["1", "0"]
    assert re.findall("<pose>(.*?)</pose>", text) == ["Left", "Unspecified"]


def test_truncated_and_pose_are_lost_in_formats_without_them(marked, target):
    assert (
        "no place for are not kept: pose, truncated" in convert(marked, target, to="coco").losses[0]
    )


def test_marks_of_two_annotations_of_one_image_are_reported_as_lost(marked, target):
    text = (marked / "Annotations/b.xml").read_text()
    named = text.replace("<object>", "<filename>b.jpg</filename><object>", 1)
    (marked / "Annotations/other.xml").write_text(named)
    report = convert(marked, target, to="voc", splits=["train"])
    assert "are not kept: pose, truncated" in report.losses[0]
    assert "<truncated>1</truncated>" not in (target / "Annotations/b.xml").read_text()


def test_difficult_objects_become_crowds_and_come_back(voc, target):
    report = convert(voc, target / "coco", to="coco")
    assert "1 difficult object written as iscrowd=1" in report.losses[0]
    convert(target / "coco", target / "voc", to="voc")
    assert VocReader().read(target / "voc", "train").ignored.tolist() == [False, True]


def test_ignored_objects_can_be_kept_as_ordinary_ones(voc, target):
    report = convert(voc, target, to="yolo", keep_ignored=True)
    assert report.losses == ["1 difficult object written like any other: YOLO has no mark for it"]
    assert len(YoloReader().read(target, "train").boxes) == 2


def test_polygons_of_yolo_are_reported(yolo, target):
    (yolo / "labels/train/a.txt").write_text("0 0.25 0.5 0.5 0.1 0.75 0.9\n")
    assert convert(yolo, target, to="coco").losses == [
        "values of labels that boxes have no place for are not kept: polygons (their bounding "
        "boxes are)"
    ]


def test_objects_skipped_by_the_reader_are_in_the_report(voc, voc_pages, target):
    voc_pages(voc, "b", [("cat", 0, 5, 5, 5, 5), ("cat", 0, 5, 5, 99, 9)])
    report = convert(voc, target, to="coco")
    assert report.left_out == ["1 box (no area): JPEGImages/b.jpg (object 1)"]
    assert report.changed == ["1 box (partly outside the image): JPEGImages/b.jpg (object 2)"]


def test_splits_with_other_class_lists_get_one(coco, coco_files, target):
    categories = [{"id": 3, "name": "fox"}, {"id": 9, "name": "dog"}]
    objects = [{"image_id": 1, "category_id": 3, "bbox": [1, 1, 4, 4]}]
    file = coco / "annotations/instances_val2017.json"
    coco_files(file, ["c.jpg"], objects, categories=categories)
    convert(coco, target, to="coco")
    index = CocoReader().read(target, "val")
    assert dict(zip(index.category_ids, index.class_names, strict=True)) == {
        3: "dog", 7: "cat", 8: "fox"}  # fmt: skip
    assert [index.class_names[label] for label in index.labels] == ["fox"]


def test_class_names_that_lists_cannot_hold_are_an_error(coco, coco_files, target):
    file = coco / "annotations/instances_val2017.json"
    coco_files(file, ["c.jpg"], [], categories=[{"id": 3, "name": "a\nb"}])
    with pytest.raises(DataError, match=r"class name .* rename the class in the source"):
        convert(coco, target, to="voc", splits=["val"])


def test_a_target_that_holds_something_is_refused(voc, target):
    target.mkdir(parents=True)
    convert(voc, target, to="coco")  # empty, so it may be there
    with pytest.raises(DataError, match=r"the folder '.*data' is not empty"):
        convert(voc, target, to="coco")
    (target.parent / "file").touch()
    with pytest.raises(DataError, match=r"file' exists and is no folder"):
        convert(voc, target.parent / "file", to="coco")


def test_a_target_in_the_source_is_refused(voc):
    for place in (voc / "new", voc / "JPEGImages" / ".." / "new"):
        with pytest.raises(DataError, match=r"is inside the data set .* choose another folder"):
            convert(voc, place, to="coco")


@pytest.mark.parametrize(("fault", "raised"), [
    (OSError(28, "No space left on device"), DataError),
    (KeyboardInterrupt(), KeyboardInterrupt),
    (RuntimeError("a bug"), RuntimeError),
])  # fmt: skip
def test_a_failure_leaves_nothing_behind(voc, target, monkeypatch, fault, raised):
    def fail(*_):
        raise fault

    monkeypatch.setattr(conversion.coco_writer, "write", fail)
    with pytest.raises(raised):
        convert(voc, target, to="coco")
    assert list(target.parent.iterdir()) == []


def test_a_data_set_that_cannot_be_read_back_is_not_written(voc, target, monkeypatch):
    monkeypatch.setattr(conversion.yolo_writer, "shares_text", lambda *_: "2 2 2 2")
    with pytest.raises(RuntimeError, match=r"written data set cannot be read.*values above 1"):
        convert(voc, target, to="yolo")
    assert list(target.parent.iterdir()) == []


def test_the_source_is_not_changed(voc, target):
    def state():
        return {f: (f.stat().st_mtime_ns, f.stat().st_size) for f in voc.rglob("*") if f.is_file()}

    before = state()
    convert(voc, target, to="yolo")
    assert state() == before


def test_links_to_images_are_followed(yolo, target):
    real = yolo / "real.jpg"
    (yolo / "images/train/a.jpg").rename(real)
    (yolo / "images/train/a.jpg").symlink_to(real)
    convert(yolo, target, to="coco", splits=["train"])
    assert not (target / "images" / "a.jpg").is_symlink()


@pytest.mark.parametrize(("to", "copy", "message"), [
    (None, "link", r"format=... says what to write: coco, voc, yolo; it is missing"),
    ("kitti", "link", r"format=kitti is none of them"),
    ("coco", "move", r"copy=move: expected one of link, copy, none"),
])  # fmt: skip
def test_words_that_name_nothing(to, copy, message):
    with pytest.raises(UserError, match=message):
        check_words(to, copy)
