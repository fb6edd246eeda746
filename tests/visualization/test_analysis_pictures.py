import math
import warnings

import numpy as np
import pytest
from PIL import Image

from detkit.structures.analysis import (
    ERROR_KINDS,
    Analysis,
    Confusion,
    ErrorSplit,
    OperatingPoint,
    PrecisionRecall,
    RocCurves,
    ScoreThresholds,
)
from detkit.visualization.analysis_pictures import READING, plot_errors, write_pictures
from detkit.visualization.confusion_picture import most_confused, plot_confusion
from detkit.visualization.figures import as_text

NUMBERS = {"AP": 0.5, "AP_small": math.nan, "AP_medium": 0.4, "AP_large": 0.6, "AR_medium": 0.7}


def analysis(classes=3, empty=0, names=None):
    """Made-up curves; the last `empty` classes have no objects."""
    objects = np.array([5] * (classes - empty) + [0] * empty)
    some = np.random.default_rng(0).random
    lines = some((classes + 1, 5))
    lines[:-1][objects == 0] = math.nan
    precision = np.sort(some((2, classes, 11)))[..., ::-1].copy()
    precision[:, objects == 0] = math.nan
    nothing = OperatingPoint(*[math.nan] * 4)
    roc_lines = np.sort(lines)
    best = [OperatingPoint(0.3, 0.5, 0.6, 0.55) if n else nothing for n in objects]
    counts = np.arange((classes + 1) ** 2).reshape(classes + 1, classes + 1)
    return Analysis(
        class_names=names or [f"class {i}" for i in range(classes)],
        images=4,
        objects=objects,
        objects_by_size={"small": 0, "medium": 1200, "large": 2},
        detections=9,
        precision_recall=PrecisionRecall([0.5, 0.75], np.linspace(0, 1, 11), precision),
        confusion=Confusion(0.5, 0.3, counts),
        thresholds=ScoreThresholds(
            0.5, np.linspace(0, 1, 5), lines, lines, lines, [*best, OperatingPoint(0.3, 1, 1, 1)]
        ),
        roc=RocCurves(
            0.5,
            np.geomspace(0.001, 100, 5),
            roc_lines,
            roc_lines.mean(1),
            np.linspace(0, 1, 5),
            roc_lines,
            roc_lines.mean(1),
        ),
        errors=ErrorSplit(
            0.5,
            0.1,
            0.4,
            dict.fromkeys(ERROR_KINDS, 0.05),
            {kind: np.full(classes, 7) for kind in ERROR_KINDS},
            0.1,
            0.2,
        ),
    )


@pytest.mark.slow
def test_every_picture_is_written_and_can_be_read_about(tmp_path):
    written = write_pictures(analysis(), NUMBERS, tmp_path / "new")
    assert {path.stem for path in written} == set(READING)
    for path in written:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 10


@pytest.mark.slow
def test_without_sizes_in_the_numbers_an_old_picture_of_them_goes(tmp_path):
    (tmp_path / "sizes.png").touch()
    written = write_pictures(analysis(), {"AP": 0.5}, tmp_path)
    assert "sizes" not in {path.stem for path in written}
    assert {path.stem for path in tmp_path.iterdir()} == {path.stem for path in written}


def test_without_objects_there_is_nothing_to_draw(tmp_path):
    assert write_pictures(analysis(classes=2, empty=2), NUMBERS, tmp_path) == []


@pytest.mark.parametrize(
    ("classes", "empty"),
    [
        (1, 0),
        pytest.param(40, 1, marks=pytest.mark.slow),
        pytest.param(12, 1, marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_any_number_of_classes_is_drawn_without_a_warning(tmp_path, classes, empty):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_pictures(analysis(classes, empty), NUMBERS, tmp_path)
    for path in tmp_path.iterdir():
        with Image.open(path) as picture:
            assert max(picture.size) < 3500


def test_names_are_shown_as_they_are(tmp_path):
    names = ["a$b_{", "_hidden", "x" * 80]
    plot_confusion(analysis(names=names), tmp_path / "c.png")  # `$` alone would be a formula
    assert [as_text(name) for name in names] == [r"a\$b_{", " _hidden", "x" * 23 + "…"]


def test_the_same_analysis_gives_the_same_file(tmp_path):
    first, second = (plot_errors(analysis(), tmp_path / f"{i}.png") for i in range(2))
    assert first.read_bytes() == second.read_bytes()


def test_the_most_confused_classes_stay_and_the_rest_is_one():
    counts = np.diag(np.full(41, 10))
    counts[39, 2] = 5
    counts[7, 40] = 3  # missed
    merged, names = most_confused(counts, [f"c{i}" for i in range(40)])
    assert merged.shape == (31, 31)
    assert names[-1] == "11 other classes"
    assert {"c2", "c7", "c39"} <= set(names)
    assert merged.sum() == counts.sum()
    assert merged[names.index("c39"), names.index("c2")] == 5
    assert merged[names.index("c7"), -1] == 3
    few = most_confused(counts[:4, :4], ["a", "b", "c"])
    assert few[1] == ["a", "b", "c"]
