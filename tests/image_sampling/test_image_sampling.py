"""Samplings for long tails, worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
from contract_cases import each_promise

from detkit.image_sampling.class_balanced import ClassBalanced
from detkit.image_sampling.image_classes import image_classes
from detkit.image_sampling.repeat_factor import RepeatFactor
from detkit.registry import get, names
from detkit.structures import DatasetIndex


def index_of(*images, ignored=()):
    """An index of images given as the labels of their objects; `ignored` are rows of objects."""
    labels = np.array([label for image in images for label in image], dtype=np.int64)
    names_of_files = [f"{number}.jpg".encode() for number in range(len(images))]
    return DatasetIndex(
        root=Path("."),
        class_names=["common", "rare", "absent"],
        category_ids=[1, 2, 3],
        file_names=b"".join(names_of_files),
        file_offsets=np.cumsum([0, *map(len, names_of_files)]),
        image_ids=np.arange(len(images)),
        sizes=np.full((len(images), 2), 10, dtype=np.int32),
        object_offsets=np.cumsum([0, *map(len, images)]),
        boxes=np.tile(np.array([0, 0, 5, 5], dtype=np.float32), (len(labels), 1)),
        labels=labels,
        ignored=np.isin(np.arange(len(labels)), ignored),
        areas=np.full(len(labels), np.nan, dtype=np.float32),
    )


@each_promise("sampling")
def test_a_sampling_keeps_its_contract(case):
    case()


# 7 images with a common object, one of them with a rare one too, and one image without objects
LONG_TAIL = index_of([0, 0], [0], [0], [0], [0], [0], [0, 1], [])


def test_images_count_once_per_class():
    found = image_classes(LONG_TAIL)
    assert found.counts.tolist() == [7, 1, 0]
    assert len(found.images) == 8
    assert image_classes(index_of([1], [1, 1], ignored=(0,))).counts.tolist() == [0, 1, 0]


def test_repeat_factors_by_hand():
    # f(rare) = 1/8, so r = sqrt(0.5 / 0.125) = 2; f(common) = 7/8 is above the threshold
    assert RepeatFactor(threshold=0.5)(LONG_TAIL).tolist() == [1, 1, 1, 1, 1, 1, 2, 1]
    shares = RepeatFactor(threshold=1.0)(LONG_TAIL)
    assert shares[0] == pytest.approx((8 / 7) ** 0.5)
    assert shares[6] == pytest.approx(8**0.5)
    assert shares[7] == 1
    assert RepeatFactor()(LONG_TAIL).tolist() == [1] * 8


def test_class_balance_by_hand():
    shares = ClassBalanced()(LONG_TAIL)
    # 7 images with objects; a half of the draws is of the rare class, all of image 6
    assert shares[:6].tolist() == pytest.approx([7 / 2 / 7] * 6)
    assert shares[6] == pytest.approx(7 / 2 / 7 + 7 / 2)
    assert shares[7] == 1
    assert shares.sum() == pytest.approx(8)
    assert ClassBalanced(largest=2.0)(LONG_TAIL)[6] == 2


@pytest.mark.parametrize("name", names("sampling"))
def test_every_sampling_takes_data_without_objects(name):  # pain 14
    shares = get("sampling", name)()(index_of([], [], []))
    assert shares.tolist() == [1, 1, 1]
    assert get("sampling", name)()(index_of()).shape == (0,)
