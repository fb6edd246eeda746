"""A detector with known detections: the whole image (cat), its top left quarter (dog)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from exported_files import write_onnx

HEIGHT, WIDTH = 40, 80


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    return write_onnx(tmp_path_factory.mktemp("model") / "pets.onnx")


@pytest.fixture
def bright() -> np.ndarray:
    """An image whose detections have the scores 0.8 and 0.4."""
    return np.full((HEIGHT, WIDTH, 3), 204, np.uint8)
