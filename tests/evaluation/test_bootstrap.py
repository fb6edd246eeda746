"""Intervals of resampled numbers, their settings, and how they are shown."""

import numpy as np
import pytest
from direct_coco import CLASSES, measured, random_annotations, scenes

from detkit.errors import UserError
from detkit.evaluation.bootstrap import BootstrapSettings, Interval, Resampled
from detkit.evaluation.metric_intervals import interval_settings, metric_intervals
from detkit.evaluation.metrics_table import metrics_table
from detkit.evaluation.voc_metric import VocMetric
from detkit.inference.measuring import measure

SETTINGS = BootstrapSettings(samples=100)


@pytest.fixture(scope="module")
def metric():
    return measured(scenes(random_annotations(4), 4))


@pytest.mark.parametrize("value", [None, False])
def test_no_intervals_without_request(value):
    assert BootstrapSettings.of(value) is None


def test_settings_of_a_mapping():
    assert BootstrapSettings.of({"seed": 4}) == BootstrapSettings(samples=1000, seed=4)


@pytest.mark.parametrize(
    ("value", "message"),
    [({"sample": 10}, "Did you mean 'samples'"), ({"samples": 20}, "need 100 samples or more")],
)
def test_wrong_settings(value, message):
    with pytest.raises(UserError, match=message):
        BootstrapSettings.of(value)


def test_another_metric_has_no_intervals():
    voc = VocMetric(class_names=["a"])
    with pytest.raises(UserError, match="choose metric=coco"):
        interval_settings(True, voc)


def test_a_symmetric_distribution_gives_its_percentiles():
    values = np.linspace(0, 1, 1001)
    low, high = Resampled(0.5, values).interval()
    assert (low, high) == pytest.approx((0.025, 0.975))


def test_samples_above_the_estimate_move_the_interval_down():
    values = np.linspace(0, 1, 1001)
    low, high = Resampled(0.3, values).interval()
    assert low < 0.025
    assert high == pytest.approx(0.819, abs=0.002)  # the normal CDF of 2 * -0.5244 + 1.96


def test_no_samples_give_no_interval():
    assert np.isnan(Resampled(np.nan, np.full(3, np.nan)).interval()).all()


def test_intervals_contain_the_numbers_and_repeat(metric):
    numbers, intervals = metric.compute(), metric_intervals(metric, SETTINGS)
    for name in ("AP", "AP50", "AP_small", "AP/cat", "AP50/emu"):
        low, high = intervals.by_name[name]
        assert low < numbers[name] < high
    assert metric_intervals(metric, SETTINGS) == intervals
    assert metric_intervals(metric, BootstrapSettings(100, seed=1)).by_name != intervals.by_name


def test_flat_numbers_name_the_class_last(metric):
    numbers = metric_intervals(metric, SETTINGS).numbers()
    assert {"AP_low", "AP_high", "AP50_low/dog"} <= set(numbers)


def test_notes_name_what_limits_the_intervals(metric):
    text = "\n".join(metric_intervals(metric, SETTINGS).notes())
    assert "With 6 images the intervals are too narrow" in text
    assert "100 samples of 6 images" in text


def test_the_table_shows_intervals():
    intervals = {"AP": Interval(0.1, 0.3), "AP/a": Interval(0.1, 0.25)}
    numbers = {"AP": 0.2, "AP50": 0.4, "AP/a": 0.2, "AP/b": 0.3}
    text = metrics_table(numbers, ["a", "b"], meanings={"AP": "mean"}, intervals=intervals)
    assert "0.200  0.100 to 0.300  mean" in text
    assert "95 % interval" in text
    assert "0.200   0.100 to 0.250" in text


def test_a_measurement_shows_and_writes_them(tmp_path, monkeypatch, metric):
    monkeypatch.setattr("detkit.inference.measuring.write_pictures", lambda *_: [])
    metric = type(metric)(class_names=CLASSES, category_ids=[1, 2, 3, 4])
    rows = ([[i], [d], [t]] for i, d, t in scenes(random_annotations(4), 4))
    measurement = measure(metric, CLASSES, rows, intervals=SETTINGS)
    assert "95 % intervals" in measurement.text()
    measurement.write(tmp_path)
    text = (tmp_path / "metrics.json").read_text()
    assert '"AP_low"' in text
    assert '"samples": 100' in text
