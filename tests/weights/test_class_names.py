import json

import pytest

from detkit.errors import UserError
from detkit.weights.class_names import ClassList, coco_slots, place_in_slots, read_class_list


def test_coco_has_80_classes_in_91_slots():
    slots = coco_slots()
    names, ids = slots.used()
    assert (len(slots.names), len(names)) == (91, 80)
    assert (names[0], ids[0]) == ("person", 1)
    assert (names[-1], ids[-1]) == ("toothbrush", 90)
    assert (slots.names[12], slots.names[13]) == (None, "stop sign")


@pytest.mark.parametrize(
    ("file", "content", "names", "ids"),
    [
        ("a.txt", "cat\n dog \nN/A\n", ["cat", "dog", None], None),
        ("a.json", '["cat", "dog"]', ["cat", "dog"], None),
        ("a.yaml", "names: [cat, dog]", ["cat", "dog"], None),
        ("a.yaml", "names: {1: dog, 0: cat}", ["cat", "dog"], None),
        ("a.yaml", "names: [on, 01]", ["on", "01"], None),
        (
            "a.json",
            json.dumps({"categories": [{"id": 7, "name": "dog"}, {"id": 2, "name": "cat"}]}),
            ["cat", "dog"],
            [2, 7],
        ),
    ],
)
def test_names_are_read_from_each_kind_of_file(tmp_path, file, content, names, ids):
    (tmp_path / file).write_text(content)
    assert read_class_list(str(tmp_path / file), "classes") == ClassList(names, ids)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("a.json", "{}", "holds no class name"),
        ("a.json", "[1, 2]", "holds no class names"),
        ("a.json", "[", "holds no class names"),
        ("a.yaml", "nc: 3", "holds no class names"),
        ("a.yaml", "names: 3", "holds no class names"),
        ("a.txt", "", "holds no class name"),
        ("a.txt", "cat\ncat\n", "holds 'cat' twice"),
        ("a.json", '{"categories": [{"name": "x"}]}', "holds no class names"),
    ],
)
def test_a_file_without_names_is_refused(tmp_path, file, content, message):
    (tmp_path / file).write_text(content)
    with pytest.raises(UserError, match=message):
        read_class_list(str(tmp_path / file), "classes")


def test_a_missing_file_is_refused():
    with pytest.raises(UserError, match=r"classes=no.txt: cannot be read.*classes=\[cat,dog\]"):
        read_class_list("no.txt", "classes")


@pytest.mark.parametrize(
    ("classes", "count", "names", "ids"),
    [
        (ClassList(["a", "b"]), 2, ["a", "b"], [1, 2]),
        (ClassList(["a", "b"]), 3, [None, "a", "b"], [0, 1, 2]),  # label 0 is background
        (ClassList(["a", "b"], [1, 4]), 5, [None, "a", None, None, "b"], [0, 1, 2, 3, 4]),
        (ClassList(["a", "b"], [1, 2]), 3, [None, "a", "b"], [0, 1, 2]),
        (ClassList(["a", "b"], [3, 9]), 2, ["a", "b"], [3, 9]),
    ],
)
def test_names_take_the_places_that_the_layer_has(classes, count, names, ids):
    slots = place_in_slots(classes, count, "classes")
    assert (slots.names, slots.ids) == (names, ids)


def test_too_few_names_are_an_error():
    with pytest.raises(UserError, match=r"classes: gives 2 names, and the file's .* 5 classes"):
        place_in_slots(ClassList(["a", "b"]), 5, "classes")
