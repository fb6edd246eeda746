"""CVAT's auto-annotation function, with the real `cvat_sdk` where it is installed."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from detkit.errors import UserError

MODULE = "detkit.integrations.cvat"


def label_spec(name: str, id: int, **values: Any) -> SimpleNamespace:
    return SimpleNamespace(name=name, id=id, **values)


def rectangle(label_id: int, points: list[float]) -> SimpleNamespace:
    return SimpleNamespace(label_id=label_id, points=points, frame=0, type="rectangle")


@pytest.fixture(params=["documented", "installed"])
def cvat(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The adapter on CVAT's documented functions, and on the package itself."""
    if request.param == "installed":
        pytest.importorskip("cvat_sdk", reason='pip install "detkit[cvat]"')
    else:
        spec = SimpleNamespace
        functions = SimpleNamespace(
            DetectionFunctionSpec=spec, label_spec=label_spec, rectangle=rectangle
        )
        package = SimpleNamespace(auto_annotation=functions)
        monkeypatch.setitem(sys.modules, "cvat_sdk", package)
        monkeypatch.setitem(sys.modules, "cvat_sdk.auto_annotation", functions)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return importlib.import_module(MODULE)


def detect(function: Any, image: Any, threshold: float | None) -> list[Any]:
    context = SimpleNamespace(frame_name="a.png", conf_threshold=threshold, conv_mask_to_poly=False)
    return function.detect(context, Image.fromarray(image))


def test_labels_are_the_classes_with_distinct_ids(cvat: ModuleType, model_file: Path) -> None:
    function = cvat.create(ckpt=str(model_file), device="cpu")
    assert [(label.name, label.id) for label in function.spec.labels] == [("cat", 0), ("dog", 1)]


def test_detections_are_rectangles_in_pixels(
    cvat: ModuleType, model_file: Path, bright: Any
) -> None:
    shapes = detect(cvat.create(ckpt=str(model_file)), bright, 0.1)
    assert [shape.label_id for shape in shapes] == [0, 1]
    assert shapes[1].points == pytest.approx([0, 0, 40, 20], abs=1e-3)
    assert [(shape.frame, str(shape.type)) for shape in shapes] == [(0, "rectangle")] * 2


@pytest.mark.parametrize(
    ("thresholds", "count"), [((-1, None), 2), ((0.5, None), 1), ((0.5, 0.3), 2), ((0.1, 0.9), 0)]
)
def test_the_threshold_of_cvat_wins(
    cvat: ModuleType,
    model_file: Path,
    bright: Any,
    thresholds: tuple[float, float | None],
    count: int,
) -> None:
    parameter, of_cvat = thresholds
    function = cvat.create(ckpt=str(model_file), threshold=parameter)
    assert len(detect(function, bright, of_cvat)) == count


def test_cvats_own_driver_annotates_the_frames_of_a_task(
    model_file: Path, bright: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cvat_sdk", reason='pip install "detkit[cvat]"')
    driver = importlib.import_module("cvat_sdk.auto_annotation.driver")
    labels = [driver.models.Label(id=17, name="dog", type="rectangle", sublabels=[], attributes=[])]
    media = SimpleNamespace(load_image=lambda: Image.fromarray(bright))
    frames = [SimpleNamespace(frame_name=f"{n}.png", frame_index=n, media=media) for n in (0, 1)]
    task = SimpleNamespace(labels=labels, samples=frames)
    monkeypatch.setattr(driver, "TaskDataset", lambda *_, **__: task)
    sent: list[Any] = []
    api = SimpleNamespace(partial_update_annotations=lambda *_, **request: sent.append(request))
    client = SimpleNamespace(logger=logging.getLogger(), tasks=SimpleNamespace(api=api))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    function = importlib.import_module(MODULE).create(ckpt=str(model_file))
    driver.annotate_task(client, 5, function, allow_unmatched_labels=True)
    shapes = sent[0]["patched_labeled_data_request"].shapes
    assert [(shape.label_id, shape.frame) for shape in shapes] == [(17, 0), (17, 1)]


def test_without_the_package_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cvat_sdk", None)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    with pytest.raises(UserError, match=r'pip install "detkit\[cvat\]"'):
        importlib.import_module(MODULE)
