"""One exported network for all tests of ONNX files."""

from pathlib import Path

import pytest
from export_graphs import graph

from detkit.export import write_onnx


@pytest.fixture(scope="session")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ONNX file of the tiny network, in float32."""
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    write_onnx(graph(), path)
    return path
