"""The picture of a data set's numbers."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from detkit.visualization.data_plots import SplitMeasures, _classes, _histogram, plot_data
from detkit.visualization.figures import new_figure


def measures(name: str, objects: int, classes: int = 3, seed: int = 0) -> SplitMeasures:
    random = np.random.default_rng(seed)
    return SplitMeasures(
        name=name,
        class_counts={f"class {i}": objects // (i + 1) for i in range(classes)},
        image_sizes=np.array([[480, 640], [300, 400]], dtype=np.int32),
        objects_per_image=np.array([objects, 0]),
        seen=random.uniform(4, 300, objects),
        ratios=random.uniform(0.2, 4, objects),
        centres=random.uniform(0, 1, (objects, 2)),
    )


@pytest.mark.parametrize(
    "splits",
    [
        [measures("train", 50, classes=40), measures("val", 9, seed=1)],
        [measures("train", 0)],
    ],
    ids=["two splits, many classes", "no object"],
)
def test_it_is_drawn(splits, tmp_path):
    file = plot_data(splits, (8, 16), tmp_path / "plots" / "stats.png")
    with Image.open(file) as picture:
        assert picture.size == (1760, 990)
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 20


@pytest.mark.slow
def test_it_is_the_same_each_time(tmp_path):
    files = [plot_data([measures("train", 30)], (8,), tmp_path / f"{i}.png") for i in range(2)]
    assert files[0].read_bytes() == files[1].read_bytes()


def labels_of(axes) -> list[float]:
    axes.figure.canvas.draw()
    low, high = axes.get_xlim()
    ticks = axes.xaxis.get_ticklocs()
    return [tick for tick in ticks if low <= tick <= high]


@pytest.mark.parametrize("most", [0, 1, 3, 200])
def test_whole_numbers_have_whole_ticks(most):
    axes = new_figure(4, 3).subplots()
    _histogram(axes, [("train", np.array([0.0, most]))], "objects", "share")
    assert labels_of(axes)
    assert all(float(tick).is_integer() for tick in labels_of(axes))


def test_counts_of_classes_have_whole_ticks():
    axes = new_figure(4, 3).subplots()
    _classes(axes, [measures("train", 1, classes=1)])
    assert labels_of(axes) == [0, 1]
