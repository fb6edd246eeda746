import json
from pathlib import Path

import numpy as np
import pytest

from detkit.structures import ClassCounts, DatasetIndex


def index_of(*images, ignored=()):
    """An index of images given as the labels of their objects; `ignored` are rows of objects."""
    labels = np.array([label for image in images for label in image], dtype=np.int64)
    return DatasetIndex(
        root=Path("."),
        class_names=["a", "b", "c"],
        category_ids=[1, 2, 3],
        file_names=b"",
        file_offsets=np.zeros(len(images) + 1, dtype=np.int64),
        image_ids=np.arange(len(images)),
        sizes=np.zeros((len(images), 2), dtype=np.int32),
        object_offsets=np.cumsum([0, *map(len, images)]),
        boxes=np.zeros((len(labels), 4), dtype=np.float32),
        labels=labels,
        ignored=np.isin(np.arange(len(labels)), ignored),
        areas=np.zeros(len(labels), dtype=np.float32),
    )


def test_images_count_once_per_class_and_ignored_objects_never():
    counts = ClassCounts.of(index_of([0, 0, 1], [], [0, 1], ignored=(2,)))
    assert counts == ClassCounts(images=3, images_with_class=[2, 1, 0], objects=[3, 1, 0])


def test_a_data_set_without_objects_has_counts_too():
    assert ClassCounts.of(index_of([], [])) == ClassCounts(2, [0, 0, 0], [0, 0, 0])


def test_counts_survive_json():
    counts = ClassCounts(3, [2, 1], [3, 1])
    assert ClassCounts.parse(json.loads(json.dumps(counts.plain())), classes=2) == counts


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"images": "3"}, "'images' is '3', expected a whole number"),
        ({"objects": [1]}, r"counts \[1\], expected 2 whole numbers"),
        ({"objects": [1, 0.5]}, r"counts \[1, 0.5\], expected 2 whole numbers"),
        ({"images_with_class": None}, "counts None, expected 2 whole numbers"),
    ],
)
def test_other_content_is_refused(change, fault):
    content = ClassCounts(3, [2, 1], [3, 1]).plain() | change
    with pytest.raises(ValueError, match=fault):
        ClassCounts.parse(content, classes=2)
