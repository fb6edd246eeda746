"""COCO files that are broken, contradictory or enormous."""

import json
import subprocess
import sys

import pytest

from detkit.data.readers.coco_reader import CocoReader
from detkit.errors import DataError

FILE = "annotations/instances_val2017.json"
GOOD = {"id": 9, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4]}


def read(coco, text):
    (coco / FILE).write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return CocoReader().read(coco, "val")


def page(*annotations, **changes):
    whole = {
        "images": [{"id": 1, "file_name": "c.jpg", "width": 40, "height": 30}],
        "annotations": list(annotations or [GOOD]),
        "categories": [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}],
    }
    return {**whole, **changes}


@pytest.mark.parametrize("bad", [
    ("[1, 2, 3]", "no four numbers"),
    ("[1, 2, 3, 4, 5]", "no four numbers"),
    ('"1234"', "no four numbers"),
    ('["a", 2, 3, 4]', "no four numbers"),
    ("null", "no four numbers"),
    ("[null, 2, 3, 4]", "no four numbers"),
    ("{}", "no four numbers"),
    ("[1, 2, NaN, 4]", "not finite"),
    ("[1, Infinity, 3, 4]", "not finite"),
    ("[1, 2, 1e999, 4]", "not finite"),
    (f"[1, 2, 1{'0' * 400}, 4]", "no four numbers"),
    ("[1, 2, -3, 4]", "inverted corners"),
    ("[1, 2, 0, 4]", "no area"),
    ("[100, 2, 3, 4]", "outside the image"),
])  # fmt: skip
def test_a_faulty_box_is_left_out_and_named_with_its_annotation(coco, caplog, bad):
    box, why = bad
    text = json.dumps(page(GOOD, {**GOOD, "id": 17, "bbox": "BOX"})).replace('"BOX"', box)
    index = read(coco, text)
    assert index.boxes.tolist() == [[1, 2, 4, 6]]
    assert index.dropped == [f"1 box ({why}): val2017/c.jpg (annotation 17)"]
    assert caplog.messages == [f"left out of {coco}: {index.dropped[0]}"]


@pytest.mark.parametrize(("changes", "why"), [
    ({"category_id": 99}, "of an unknown category"),
    ({"category_id": None}, "of an unknown category"),
    ({"category_id": [3]}, "of an unknown category"),
])  # fmt: skip
def test_an_unknown_category_is_left_out(coco, changes, why):
    index = read(coco, page(GOOD, {**GOOD, "id": 17, **changes}))
    assert index.dropped == [f"1 box ({why}): val2017/c.jpg (annotation 17)"]


@pytest.mark.parametrize("image_id", [5, None, [1], {}, "x", 1.5, 10**30])
def test_annotations_of_missing_images_are_skipped(coco, image_id):
    index = read(coco, page(GOOD, {**GOOD, "id": 17, "image_id": image_id}))
    name = f"image id {image_id}" if image_id in (5, "x") else "no image id"
    assert index.dropped == [f"1 box (of an image that is not listed): {name} (annotation 17)"]


def test_entries_other_than_annotations_are_skipped(coco):
    index = read(coco, page(GOOD, None, 3, "text", [1]))
    assert index.dropped == ["4 annotations (no object {...}): None, 3, 'text', [1]"]


# pain 12
def test_ids_as_text_or_with_a_point_are_the_numbers(coco):
    changes = {
        "images": [{"id": "1", "file_name": "c.jpg", "width": "40", "height": 30.0}],
        "categories": [{"id": "7", "name": "cat"}, {"id": 3.0, "name": "dog"}],
    }
    objects = [{"image_id": 1, "category_id": "7", "bbox": ["1", "2", "3", "4.5"]}, GOOD]
    index = read(coco, page(*objects, **changes))
    assert index.boxes.tolist() == [[1, 2, 4, 6.5], [1, 2, 4, 6]]
    assert (index.category_ids, index.labels.tolist()) == ([3, 7], [1, 0])


@pytest.mark.parametrize(("crowd", "ignored"), [
    ("0", False), (0, False), (None, False), ("1", True), (True, True), ("true", True),
])  # fmt: skip
def test_crowd_as_text_or_null(coco, crowd, ignored):
    assert read(coco, page({**GOOD, "iscrowd": crowd})).ignored.tolist() == [ignored]


@pytest.mark.parametrize("area", ["x", None, "NaN", -4, [], 1e300])
def test_an_invalid_area_does_not_drop_the_box(coco, area):
    index = read(coco, page({**GOOD, "area": area}))
    assert len(index.boxes) == 1
    assert str(index.areas[0]) == "nan"


@pytest.mark.parametrize("size", [{}, {"width": None}, {"width": "x"}, {"width": 0}, {"width": []}])
def test_a_missing_size_is_taken_from_the_file(coco, size):
    image = {"id": 1, "file_name": "c.jpg", "height": 30, **size}
    assert read(coco, page(images=[image])).sizes.tolist() == [[30, 40]]


@pytest.mark.parametrize(("changes", "message"), [
    ({"images": [{"id": "", "file_name": "c.jpg"}]}, r"the id '' in 'images' is neither a whole"),
    ({"images": [{"id": None, "file_name": "c.jpg"}]}, r"the id None in 'images' is neither a"),
    ({"images": [{"id": 1, "file_name": None}]}, r"an entry of 'images' lacks id or file_name: {"),
    ({"images": [None]}, r"an entry of 'images' lacks id or file_name: None"),
    ({"categories": [{"id": 1.5, "name": "x"}]}, r"the id 1.5 in 'categories' is neither a whole"),
    ({"categories": [{"id": 1, "name": " "}]}, r"an entry of 'categories' lacks id or name"),
    ({"categories": [{"id": 1, "name": None}]}, r"an entry of 'categories' lacks id or name"),
    ({"categories": [{"id": 3, "name": "dog"}, {"id": 3, "name": "fox"}]},
     r"several categories one id: 3 \(dog\), 3 \(fox\); give each its own"),
    ({"categories": {"3": "dog"}}, r"it has no list categories \(object\)"),
    ({"annotations": None}, r"it has no list annotations \(null\)"),
])  # fmt: skip
def test_unusable_values_are_one_error_with_file_and_value(coco, changes, message):
    with pytest.raises(DataError, match=rf"instances_val2017.json'.*{message}"):
        read(coco, page(**changes))


@pytest.mark.parametrize(("text", "message"), [
    ("", r"the file is empty"),
    ("[]", r"it holds a list where an object {...} is expected"),
    ("3", r"it holds another value where"),
    ('{"images": [{"id": 1, "file', r"Unterminated string .*line 1 column"),
    ('{"images": [], "annotations": [', r"Expecting value: line 1 column 32"),
    ('{"images": []', r"Expecting ',' delimiter: line 1 column 14"),
    ('{"images": [] "annotations": []}', r"Expecting ',' delimiter"),
    ('{"images" []}', r"Expecting ':' delimiter"),
    ('{"annotations": [{}],}', r"Illegal trailing comma"),
    ("{3: 4}", r"Expecting a property name in quotes"),
    ('{"info": 1} x', r"Extra data"),
    ('{"info": ' + "[" * 100_000, r"nested too deeply"),
])  # fmt: skip
def test_invalid_json_is_reported_with_its_position(coco, text, message):
    with pytest.raises(DataError, match=rf"val2017.json' cannot be read as COCO JSON: .*{message}"):
        read(coco, text)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_mark_of_byte_order_is_no_fault(coco, encoding):
    (coco / FILE).write_text(json.dumps(page()), encoding=encoding)
    assert len(CocoReader().read(coco, "val").boxes) == 1


def test_a_file_in_another_encoding_is_an_error(coco):
    (coco / FILE).write_bytes(b'{"info": "\xe9"}')
    with pytest.raises(DataError, match=r"cannot be read as COCO JSON: 'utf-8' codec"):
        CocoReader().read(coco, "val")


def test_lists_of_other_tasks_are_passed_over(coco):
    text = json.dumps(page(GOOD)).replace('"categories"', '"extra": [1, 2], "categories"')
    assert len(read(coco, text).boxes) == 1


def test_an_image_listed_twice_counts_once(coco, pictures):
    image = {"id": 1, "file_name": "c.jpg"}
    index = read(coco, page(images=[image, image]))
    assert (len(index), len(index.boxes)) == (1, 1)
    assert index.dropped == ["1 image (listed twice): val2017/c.jpg (id 1)"]


def test_images_that_share_an_id_are_left_out_with_their_boxes(coco, pictures):
    pictures(coco / "val2017" / "d.jpg")
    pictures(coco / "val2017" / "e.jpg")
    images = [{"id": n, "file_name": f"{name}.jpg"} for n, name in ((1, "c"), (1, "d"), (2, "e"))]
    index = read(coco, page(GOOD, {**GOOD, "image_id": 2}, images=images))
    assert [index.path(n).name for n in range(len(index))] == ["e.jpg"]
    assert index.dropped == [
        "2 images (its id is that of other images too): val2017/c.jpg (id 1), val2017/d.jpg (id 1)",
        "1 box (of several images with one id): image id 1 (annotation 9)",
    ]


def test_an_annotation_listed_twice_counts_once(coco):
    index = read(coco, page(GOOD, GOOD, {**GOOD, "bbox": [5, 5, 6, 6]}))
    assert index.boxes.tolist() == [[1, 2, 4, 6], [5, 5, 11, 11]]  # one id, but another box
    assert index.dropped == ["1 box (listed twice): val2017/c.jpg (annotation 9)"]


def test_equal_boxes_without_ids_are_kept(coco):
    plain = {"image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4]}
    assert len(read(coco, page(plain, plain)).boxes) == 2


# pain 14
def test_images_without_boxes_are_kept(coco, pictures):
    pictures(coco / "val2017" / "d.jpg")
    images = [{"id": n, "file_name": f"{name}.jpg"} for n, name in ((1, "c"), (2, "d"))]
    index = read(coco, page(images=images))
    assert index.object_offsets.tolist() == [0, 1, 1]
    assert index.dropped == []


@pytest.mark.parametrize("name", ["a b.jpg", "猫.jpg", "two\nlines.jpg", 'it\'s "x".jpg', "C.JPG"])
def test_any_name_that_a_file_can_have_is_read(coco, pictures, name):
    (coco / "val2017" / "c.jpg").rename(coco / "val2017" / name)
    index = read(coco, page(images=[{"id": 1, "file_name": name}]))
    assert index.path(0) == coco / "val2017" / name


def test_a_name_with_a_newline_stays_on_one_line_of_a_message(coco):
    images = [{"id": 1, "file_name": "c.jpg"}, {"id": 2, "file_name": "a\nb.jpg"}]
    index = read(coco, page(images=images))
    assert index.dropped == [r"1 image (missing file): 'val2017/a\nb.jpg'"]


@pytest.mark.parametrize("name", ["a\0b.jpg", "\ud800.jpg", "x" * 5000 + ".jpg", "", ".."])
def test_a_name_that_no_file_can_have_is_left_out(coco, name):
    images = [{"id": 1, "file_name": "c.jpg"}, {"id": 2, "file_name": name}]
    index = read(coco, page(images=images))
    assert len(index) == 1
    assert len(index.dropped) == 1


MEASURE = """
import resource, sys
from pathlib import Path
from detkit.data.readers.coco_reader import CocoReader
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
index = CocoReader().read(Path(sys.argv[1]), None)
used = resource.getrusage(resource.RUSAGE_SELF)
print(len(index.labels), (used.ru_maxrss - before) // 1024, int(used.ru_utime + used.ru_stime))
"""


@pytest.mark.slow
def test_a_file_of_500_mb_takes_a_minute_and_a_gigabyte_at_most(tmp_path, pictures):
    pictures(tmp_path / "images" / "a.jpg", 640, 480)
    entry = {
        **GOOD,
        "iscrowd": 0,
        "area": 12.5,
        "segmentation": [[round(n / 7, 2) for n in range(50)]],
    }
    line = json.dumps(entry)
    count = 500_000_000 // (len(line) + 8)
    with (tmp_path / "annotations.json").open("w") as stream:
        stream.write(json.dumps({"images": [{"id": 1, "file_name": "a.jpg"}],
                                 "categories": [{"id": 3, "name": "x"}]})[:-1])  # fmt: skip
        stream.write(', "annotations": [')
        for number in range(count):
            stream.write(f"{', ' if number else ''}{line.replace(': 9,', f': {number + 1},', 1)}")
        stream.write("]}")
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    objects, taken, seconds = map(int, done.stdout.split())
    assert objects == count
    assert taken < 1200  # MiB, the 500 of the file included; json.load alone takes 3000
    assert seconds < 60  # of the processor; 15 on an idle machine


def test_an_id_of_two_boxes_is_noted_with_both_and_both_are_used(coco):
    other = {"id": 9, "image_id": 1, "category_id": 7, "bbox": [5, 6, 7.5, 8]}
    index = read(coco, page(GOOD, other, {**GOOD, "id": 10}))
    assert len(index.boxes) == 3
    assert index.notes == [
        "1 annotation (one id for several boxes): val2017/c.jpg "
        "(annotation 9: dog [1, 2, 3, 4] and cat [5, 6, 7.5, 8])"
    ]


def test_an_id_of_boxes_in_two_images_names_both(coco, pictures):
    pictures(coco / "val2017" / "d.jpg")
    images = [{"id": number, "file_name": f"{name}.jpg"} for number, name in ((1, "c"), (2, "d"))]
    objects = [{**GOOD, "image_id": image} for image in (1, 2, 2)]
    index = read(coco, page(*objects, images=images))
    assert len(index.boxes) == 2  # the third is the second one again
    assert index.notes[0].endswith("(annotation 9: dog [1, 2, 3, 4] and dog [1, 2, 3, 4] in d.jpg)")


def test_annotations_without_ids_share_none(coco):
    plain = {key: value for key, value in GOOD.items() if key != "id"}
    assert read(coco, page(plain, {**plain, "bbox": [5, 6, 7, 8]})).notes == []


def test_many_boxes_of_one_id_are_one_note(coco):
    boxes = [{**GOOD, "bbox": [number, 2, 3, 4]} for number in range(9)]
    assert read(coco, page(*boxes)).notes[0].endswith("dog [1, 2, 3, 4] and 7 more)")
