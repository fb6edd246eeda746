"""Intervals cover the number of a known population about as often as they say."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/inference/intervals.py"


@pytest.fixture(scope="module")
def simulation():
    spec = importlib.util.spec_from_file_location("intervals_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def row(simulation):
    """A row of 100 data sets of 100 images."""
    simulation.DATA_SETS = {100: (100, 100)}
    (row,) = simulation.measure({"population": "4000", "samples": "300"})
    return row


@pytest.mark.slow
def test_intervals_of_ap_cover_the_population(row):
    """95 % of a perfect interval's 100 data sets lie between 90 and 99; a small set lacks some."""
    assert 0.85 <= row["coverage"]["AP"] <= 0.99
    assert 0.85 <= row["coverage"]["AP50"] <= 1


@pytest.mark.slow
def test_equal_detectors_rarely_differ(row):
    assert row["false_differences"] <= 0.12


@pytest.mark.slow
def test_a_small_set_has_a_higher_ap_than_its_population(row):
    assert 0 < row["excess"]["AP"] < 0.05


def test_the_simulated_detectors_are_equal(simulation):
    first, second = simulation.equal_detectors(6, seed=0)
    assert list(first) == list(second) == [0, 1, 2, 6, 7, 8]
    for image_id in range(3):
        np.testing.assert_array_equal(first[image_id].boxes, second[image_id + 6].boxes)


def test_the_page_shows_every_size(simulation):
    numbers = dict.fromkeys(simulation.NUMBERS, 0.5)
    row = {"images": 50, "samples": 500, "population": 1000, "sets": 3, "false_differences": 0.04}
    row |= {
        "comparisons": 25,
        "truth": numbers,
        "coverage": numbers,
        "width": numbers,
        "excess": numbers,
    }
    assert "| 50 | 3 | 50 % (0.500) |" in simulation.table([row])
    assert "| 25 | 4.0 % |" in simulation.table([row])
