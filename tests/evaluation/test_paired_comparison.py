"""Differences between two detectors on the same images."""

import numpy as np
import pytest
import torch
from direct_coco import CLASSES, IDS, measured, random_annotations, scenes

from detkit.errors import DataError
from detkit.evaluation.bootstrap import BootstrapSettings, Interval
from detkit.evaluation.comparison_tables import PairedComparison, comparison_lines
from detkit.evaluation.paired_comparison import (
    PairedNumber,
    align,
    correction_note,
    image_effects,
    of_classes,
    paired_numbers,
    verdict,
)

SETTINGS = BootstrapSettings(samples=100)
IMAGES = 12


def matches_of(rows, **arguments):
    return measured(rows, **arguments).matches()[""]


@pytest.fixture(scope="module")
def rows():
    return scenes(random_annotations(7, images=IMAGES), 7, noise=4)


@pytest.fixture(scope="module")
def worse_rows(rows):
    """The same detections, moved away from their objects."""
    return [(i, d._replace(boxes=d.boxes + torch.tensor([6.0, 0, 6, 0])), t) for i, d, t in rows]


@pytest.fixture(scope="module")
def pair(rows, worse_rows):
    return matches_of(rows), matches_of(worse_rows)


# pain 141
def test_a_detector_does_not_differ_from_itself(pair):
    number = paired_numbers(pair[0], pair[0], SETTINGS)["AP"]
    assert number.interval == (0, 0)
    assert not number.exceeds_chance


def test_a_worse_detector_differs_by_more_than_chance(pair):
    numbers = paired_numbers(*pair, SETTINGS)
    number = numbers["AP"]
    assert number.exceeds_chance
    assert number.interval.low < number.difference < number.interval.high
    swapped = paired_numbers(pair[1], pair[0], SETTINGS)["AP"]
    assert swapped.difference == -number.difference
    assert swapped.interval.high == pytest.approx(-number.interval.low, abs=0.01)


def test_effects_are_differences_of_leaving_an_image_out(rows, worse_rows, pair):
    effects = image_effects(*pair)

    def difference(images):
        one, other = (measured(images(r)).compute()["AP"] for r in (rows, worse_rows))
        return one - other

    expected = difference(lambda r: r) - difference(lambda r: r[:4] + r[5:])
    assert effects[4] == pytest.approx(expected, abs=1e-12)
    assert len(effects) == IMAGES


def test_classes_are_matched_by_name(rows):
    names = ["emu", "cat", "fox", "dog"]
    order = [names.index(name) for name in CLASSES]
    renamed = [
        (i, d._replace(labels=torch.tensor(order)[d.labels]), t.__class__(
            t.boxes, torch.tensor(order)[t.labels], t.ignored, t.areas))
        for i, d, t in rows
    ]  # fmt: skip
    one, other = align(matches_of(rows), matches_of(renamed, names=names, ids=IDS))
    assert one.class_names == other.class_names == CLASSES
    assert paired_numbers(one, other, SETTINGS)["AP"].interval == (0, 0)


def test_only_common_classes_count(rows, pair):
    one, other = align(of_classes(pair[0], ["dog", "cat"]), pair[1])
    assert other.class_names == ["dog", "cat"]
    expected = measured(rows).compute()
    number = paired_numbers(one, other, SETTINGS)
    assert number["AP/dog"].first == pytest.approx(expected["AP/dog"], abs=1e-12)
    assert number["AP"].first == pytest.approx((expected["AP/dog"] + expected["AP/cat"]) / 2)


# pain 141
def test_other_images_are_refused(rows, pair):
    with pytest.raises(DataError, match="different images: 12 and 11, of which 11 have the same"):
        align(pair[0], matches_of(rows[1:]))


# pain 141
def test_other_objects_are_refused(rows, pair):
    changed = [*rows[:-1], (*rows[-1][:2], rows[-2][2])]
    with pytest.raises(DataError, match="measured on different objects"):
        align(pair[0], matches_of(changed))


def test_detectors_without_a_common_class_are_refused(pair):
    others = of_classes(pair[1], ["dog"])
    with pytest.raises(DataError, match="no class in common: the first detects cat"):
        align(of_classes(pair[0], ["cat"]), others)


def test_verdicts():
    names = ("A", "B")
    better = PairedNumber(0.42, 0.408, Interval(0.003, 0.021))
    assert verdict(better, names) == (
        "A is better than B by 0.012 AP, 95 % interval 0.003 to 0.021"
    )
    worse = PairedNumber(0.408, 0.42, Interval(-0.021, -0.003))
    assert verdict(worse, names) == verdict(better, names).replace("A is", "B is").replace(
        "than B", "than A"
    )
    equal = PairedNumber(0.42, 0.41, Interval(-0.003, 0.021))
    assert verdict(equal, names).startswith("no difference beyond chance: A minus B is +0.010")


def test_several_comparisons_name_that_nothing_is_corrected():
    assert correction_note(1) == ""
    assert "3 comparisons, without a correction" in correction_note(3)


def test_the_tables_show_classes_and_images_that_differ_most(pair):
    comparison = PairedComparison(
        names=("A", "B"),
        settings=SETTINGS,
        classes=CLASSES,
        numbers=paired_numbers(*pair, SETTINGS),
        mask_numbers={},
        image_ids=list(range(IMAGES)),
        image_names=[f"{n}.png" for n in range(IMAGES)],
        effects=np.array([0.0] * 10 + [0.2, -0.3]),
    )
    lines = comparison_lines(comparison, images=5)
    assert [line.split() for line in lines[-2:]] == [["11.png", "-0.3000"], ["10.png", "+0.2000"]]
    assert comparison.classes_by_difference()[0] in "\n".join(lines)
    assert not any("fox" in line for line in lines)  # no object is a fox


def test_a_mark_is_explained_only_where_there_is_one(pair):
    for other in (pair[0], pair[1]):
        numbers = paired_numbers(pair[0], other, SETTINGS)
        comparison = PairedComparison(
            ("A", "B"), SETTINGS, CLASSES, numbers, {}, [0], ["0.png"], np.zeros(1)
        )
        text = "\n".join(comparison_lines(comparison, images=1))
        assert ("* the 95 % interval excludes 0" in text) == (other is pair[1])
