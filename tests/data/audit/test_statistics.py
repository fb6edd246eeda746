"""Numbers of a data set, by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from detkit.data.audit.evidence import Resizing, Split
from detkit.data.audit.statistics import (
    Spread,
    measure,
    split_statistics,
    statistics_as_plain,
    statistics_as_text,
)
from detkit.data.index import Annotation, IndexBuilder


@pytest.fixture
def split(tmp_path, pictures):
    """Two images of 40 x 30: a 20 x 5 and a 10 x 10 cat, a crowd of dogs; the other is empty."""
    builder = IndexBuilder(tmp_path, ["cat", "dog"])
    for number in (1, 2):
        pictures(tmp_path / f"{number}.png")
        builder.add_image(f"{number}.png", number)
        if number == 1:
            builder.add_object(Annotation(0, (0.0, 0.0, 20.0, 5.0)))
            builder.add_object(Annotation(0, (30.0, 20.0, 40.0, 30.0)))
            builder.add_object(Annotation(1, (0.0, 0.0, 40.0, 30.0), ignored=True))
            builder.add_object(Annotation(1, (3.0, 3.0, 3.0, 9.0)))
    return Split("train", builder.build())


def test_counts(split):
    found = split_statistics(split, Resizing())
    assert (found.images, found.images_without_objects) == (2, 1)
    assert (found.objects, found.ignored, found.left_out) == (2, 1, 1)
    cat, dog = found.classes["cat"], found.classes["dog"]
    assert (cat.objects, cat.images, cat.ignored) == (2, 1, 0)
    assert (dog.objects, dog.images, dog.ignored) == (0, 0, 1)
    assert found.image_sizes == {"40 x 30": 2}


def test_measures(split):
    boxes = measure(split, Resizing(short_side=60, long_side=None, enlarge=True))
    assert boxes.sides.tolist() == [[20, 5], [10, 10]]
    assert boxes.seen.tolist() == [20, 20]  # twice the root of 100
    assert boxes.share.tolist() == [100 / 1200] * 2
    assert boxes.centres.tolist() == [[0.25, 2.5 / 30], [35 / 40, 25 / 30]]
    assert boxes.owners.tolist() == [0, 0]


def test_sizes_between_strides(split):
    shrunk = Resizing(short_side=24, strides=(8, 16))  # sides of 10 become 8
    assert split_statistics(split, shrunk).seen_octaves == {"<8": 0, "8-16": 2, ">=16": 0}
    assert split_statistics(split, Resizing()).coco_sizes == {"<32": 2, "32-96": 0, ">=96": 0}


def test_positions_sum_to_one(split):
    positions = np.array(split_statistics(split, Resizing()).positions)
    assert positions.sum() == 1
    assert (positions[0, 2], positions[8, 8]) == (0.5, 0.5)


def test_spread():
    spread = Spread.of(np.arange(101.0))
    assert (spread.mean, spread.middle, spread.ends) == (50, 50, (0, 100))
    assert spread.quantiles["5%"] == 5
    assert Spread.of(np.zeros(0)) is None


def test_a_split_without_objects(tmp_path, pictures):
    pictures(tmp_path / "a.png")
    builder = IndexBuilder(tmp_path, ["cat"])
    builder.add_image("a.png", 1)
    found = split_statistics(Split("train", builder.build()), Resizing())
    assert (found.objects, found.box_sides) == (0, None)
    assert "-" in statistics_as_text(tmp_path, {"train": found})


def test_text_and_json(split, tmp_path):
    numbers = {"train": split_statistics(split, Resizing())}
    text = statistics_as_text(tmp_path, numbers)
    lines = {line.split("  ")[1].strip(): line for line in text.splitlines() if line[:2] == "  "}
    assert lines["cat"].endswith("2 (1)")
    assert len({len(line) for line in text.splitlines() if line}) == 1  # aligned
    plain = json.loads(json.dumps(statistics_as_plain(tmp_path, numbers, Resizing())))
    assert plain["splits"]["train"]["classes"]["cat"]["objects"] == 2
    assert plain["resizing"]["strides"] == [8, 16, 32, 64, 128]
