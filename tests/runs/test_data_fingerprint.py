import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from detkit.data.index import Annotation, IndexBuilder
from detkit.data.index_selection import select
from detkit.runs.data_fingerprint import fingerprint


@pytest.fixture
def index(tmp_path):
    builder = IndexBuilder(tmp_path / "here", ["cat", "dog"], [7, 9])
    for number, name in enumerate(("a.png", "é b.png", "c.png")):
        file = tmp_path / "here" / name
        file.parent.mkdir(exist_ok=True)
        Image.effect_noise((10, 8), number).save(file)
        builder.add_image(name, number + 10)
        for place in range(number):
            builder.add_object(Annotation(place, (place, 0.0, place + 2.5, 4.0)))
    return builder.build()


def changed(values, position, value):
    copy = values.copy()
    copy[position] = value
    return copy


def test_it_is_short_and_the_same_on_every_machine(index):
    found = fingerprint(index)
    assert len(found) == 16
    assert found == fingerprint(replace(index, areas=np.full(3, -np.float32("nan"))))


def test_it_does_not_depend_on_the_folder(index, tmp_path):
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert fingerprint(replace(index, root=tmp_path / "there")) == fingerprint(index)


@pytest.mark.parametrize(
    "difference",
    [
        {"class_names": ["cat", "cow"]},
        {"class_names": ["dog", "cat"]},
        {"category_ids": [7, 8]},
        {"file_names": "a.pngé b.pngd.png".encode()},
    ],
)
def test_classes_and_names_change_it(index, difference):
    assert fingerprint(replace(index, **difference)) != fingerprint(index)


@pytest.mark.parametrize(
    ("array", "position", "value"),
    [
        ("boxes", (1, 2), 2.25),
        ("labels", 0, 1),
        ("ignored", 2, True),
        ("areas", 1, 3.0),
        ("sizes", (0, 0), 9),
        ("image_ids", 2, 99),
        ("object_offsets", 1, 1),
    ],
)
def test_one_changed_value_changes_it(index, array, position, value):
    other = replace(index, **{array: changed(getattr(index, array), position, value)})
    assert fingerprint(other) != fingerprint(index)


def test_the_order_of_images_changes_it_since_training_depends_on_it(index):
    assert fingerprint(select(index, [1, 0, 2])) != fingerprint(index)
    assert fingerprint(select(index, [0, 1, 2])) == fingerprint(index)


def test_a_file_of_another_length_changes_it_and_pixels_do_not(index):
    before, file = fingerprint(index), index.path(0)
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"x")
    assert fingerprint(index) == before, "the docstring says that pixels are not read"
    file.write_bytes(content + b"x")
    assert fingerprint(index) != before
    file.unlink()
    assert fingerprint(index) != before
