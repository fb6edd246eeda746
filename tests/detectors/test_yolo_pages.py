"""The pages of YOLOv2 to v5 are as large as their authors say."""

import pytest

from detkit import assembly
from detkit.assembly import Classes
from detkit.config.compose import compose


@pytest.mark.parametrize(
    ("page", "millions"),
    [
        pytest.param("yolov2", 50.96, marks=pytest.mark.slow),
        pytest.param("yolov2_tiny", 11.23, marks=pytest.mark.slow),
        ("yolov3", 61.95),
        pytest.param("yolov3_tiny", 8.85, marks=pytest.mark.slow),
        pytest.param("yolov4", 64.36, marks=pytest.mark.slow),
        pytest.param("yolov4_tiny", 6.06, marks=pytest.mark.slow),
        ("yolov5n", 1.87),
        ("yolov5s", 7.24),
        ("yolov5", 46.56),
    ],
)
def test_parameters_are_as_many_as_published_for_80_classes(page, millions):
    classes = Classes([f"class {i}" for i in range(80)], list(range(1, 81)))
    detector = assembly.describe_on_meta(compose("train", [f"model={page}"])["model"], classes)
    count = sum(parameter.numel() for parameter in detector.parameters())
    assert round(count / 1e6, 2) == millions
