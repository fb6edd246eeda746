"""`dataset.apply_model`, with the real FiftyOne where it is installed, and its documented types."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from real_fiftyone import fiftyone  # noqa: F401  # a fixture

from detkit.data.readers.fiftyone_reader import FiftyOneReader
from detkit.errors import UserError

MODULE = "detkit.integrations.fiftyone"


@pytest.fixture
def documented(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The adapter on FiftyOne's documented types."""
    types = SimpleNamespace(Model=object, Detections=SimpleNamespace, Detection=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "fiftyone", types)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    yield importlib.import_module(MODULE)
    sys.modules.pop(MODULE, None)


def test_boxes_are_relative_x_y_width_height(
    documented: ModuleType, model_file: Path, bright: np.ndarray
) -> None:
    detections = documented.FiftyOneModel(model_file, device="cpu").predict(bright).detections
    assert [item.label for item in detections] == ["cat", "dog"]
    assert detections[1].bounding_box == pytest.approx([0, 0, 0.5, 0.5], abs=1e-5)
    assert detections[1].confidence == pytest.approx(0.4, abs=1e-3)


def test_images_of_a_batch_may_differ_in_size(
    documented: ModuleType, model_file: Path, bright: np.ndarray
) -> None:
    model = documented.FiftyOneModel(model_file)
    batch = model.predict_all([bright, np.zeros((20, 30, 3), np.uint8), bright])
    assert [len(detections.detections) for detections in batch] == [2, 0, 2]
    assert not model.ragged_batches


def test_confidence_thresh_is_the_threshold(
    documented: ModuleType, model_file: Path, bright: np.ndarray
) -> None:
    model = documented.FiftyOneModel(model_file, threshold=0.5)
    assert len(model.predict(bright).detections) == 1
    model.config.confidence_thresh = 0.1  # as apply_model(confidence_thresh=0.1) does
    assert len(model.predict(bright).detections) == 2


def test_without_the_package_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fiftyone", None)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    with pytest.raises(UserError, match=r'pip install "detkit\[fiftyone\]"'):
        importlib.import_module(MODULE)


@pytest.mark.slow
def test_apply_model_export_and_reader_agree(
    fiftyone: Any,  # noqa: F811
    model_file: Path,
    bright: np.ndarray,
    tmp_path: Path,
) -> None:
    sys.modules.pop(MODULE, None)
    adapter = importlib.import_module(MODULE)
    for name in ("a", "b"):
        Image.fromarray(bright).save(tmp_path / f"{name}.png")
    dataset = fiftyone.Dataset("pets")
    dataset.add_samples([fiftyone.Sample(str(tmp_path / f"{name}.png")) for name in ("a", "b")])
    model = adapter.FiftyOneModel(model_file)
    dataset.apply_model(model, label_field="found", batch_size=2, skip_failures=False)
    assert dataset.count("found.detections") == 4
    kind = fiftyone.types.FiftyOneDataset
    dataset.export(export_dir=str(tmp_path / "export"), dataset_type=kind)
    exported = FiftyOneReader(field="found").read(tmp_path / "export", None)
    stored = FiftyOneReader(dataset="pets", field="found").read(tmp_path, None)
    expected = [[0, 0, 80, 40], [0, 0, 40, 20]] * 2
    np.testing.assert_allclose(exported.boxes, expected, atol=1e-3)
    np.testing.assert_allclose(stored.boxes, expected, atol=1e-3)
