"""Engines run exported files, and refuse others with one clear line."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from exported_files import MODEL, write_onnx, write_raw

from detkit.errors import UserError
from detkit.inference.engines.contract import PaddedArrays, RawArrays
from detkit.inference.engines.opening import exported_file, open_engine, run_exported

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
IMAGES = np.stack([np.full((3, 8, 16), grey, np.float32) for grey in (255, 51)])


@pytest.fixture(scope="module", params=["onnx", pytest.param("xml", marks=pytest.mark.slow)])
def file(request, tmp_path_factory):
    path = write_onnx(tmp_path_factory.mktemp("engines") / "model.onnx")
    if request.param == "onnx":
        return path
    openvino = pytest.importorskip("openvino")
    graph = openvino.convert_model(path)
    openvino.save_model(graph, path.with_suffix(".xml"), compress_to_fp16=False)
    return path.with_suffix(".xml")


def test_images_become_padded_detections(file):
    outputs = run_exported(file, IMAGES)
    assert isinstance(outputs, PaddedArrays)
    assert [array.dtype for array in outputs] == [np.float32, np.float32, np.int64, np.int64]
    assert outputs.boxes[1].tolist() == [[0, 0, 16, 8], [0, 0, 8, 4], [0, 0, 0, 0]]
    np.testing.assert_allclose(outputs.scores, [[1, 0.5, 0], [0.2, 0.1, 0]], atol=1e-6)
    assert (outputs.labels.tolist(), outputs.counts.tolist()) == ([[0, 1, 0]] * 2, [2, 2])


def test_the_metadata_come_with_the_file(file):
    engine = open_engine(file, threads=1)
    assert engine.model == MODEL
    assert engine.device == "cpu"
    assert engine.description.endswith("1 thread")


def test_a_graph_without_post_processing_returns_boxes_and_scores(tmp_path):
    outputs = run_exported(write_raw(tmp_path / "model.onnx"), IMAGES)
    assert isinstance(outputs, RawArrays)
    assert outputs.boxes.shape == (2, 3, 4)
    np.testing.assert_allclose(outputs.scores[0], [[1, 0.5], [0.5, 0.25], [0, 0]], atol=1e-6)


@pytest.mark.parametrize("content", [b"", b"no model", "cut"])
@pytest.mark.parametrize("suffix", [".onnx", pytest.param(".xml", marks=pytest.mark.slow), ".pt2"])
def test_a_damaged_file_is_refused_in_one_line(tmp_path, suffix, content):
    if suffix == ".xml":
        pytest.importorskip("openvino")
    file = tmp_path / f"model{suffix}"
    whole = write_onnx(tmp_path / "whole.onnx").read_bytes()
    file.write_bytes(whole[:300] if content == "cut" else content)
    with pytest.raises(UserError, match=r"cannot read this file; it is damaged") as caught:
        open_engine(file)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


def test_a_newer_opset_asks_for_a_newer_onnxruntime(tmp_path):
    file = write_onnx(tmp_path / "model.onnx", opset=99)
    with pytest.raises(UserError, match=r"needs a newer onnxruntime than [\d.]+: update it"):
        open_engine(file)


# pain 88
def test_a_file_of_other_programs_is_refused(tmp_path):
    file = write_onnx(tmp_path / "model.onnx", metadata=None)
    with pytest.raises(UserError, match="no detkit metadata, which holds class names, how images"):
        open_engine(file)
    keys = {"names": "{0: 'cat'}", "stride": "32", "task": "detect"}
    write_onnx(file, metadata=keys)
    with pytest.raises(UserError, match=r"no detkit metadata \(Ultralytics wrote it\)"):
        open_engine(file)


def test_a_graph_for_grey_images_is_refused(tmp_path):
    file = write_onnx(tmp_path / "model.onnx", channels=1)
    with pytest.raises(UserError, match="takes an input of B x 1 x H x W; expected images with 3"):
        open_engine(file)


# pain 88
def test_outputs_that_do_not_fit_the_metadata_are_refused(tmp_path):
    model = replace(MODEL, nms=False)
    text = {"detkit": replace(model, nms=True).to_json()}
    file = write_onnx(tmp_path / "model.onnx", model, metadata=text)
    with pytest.raises(UserError, match="returns boxes, scores; expected boxes, scores, labels"):
        open_engine(file)


@pytest.mark.parametrize("package", ["onnxruntime", "openvino"])
def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    file = tmp_path / ("model.onnx" if package == "onnxruntime" else "model.xml")
    with pytest.raises(UserError, match=rf"pip install {package}, or .*detkit\[{package}\]"):
        open_engine(file)


def test_a_gpu_is_refused_where_the_engine_has_none(file):
    with pytest.raises(UserError, match=r"device=cuda: cannot run .*; use device=cpu"):
        open_engine(file, "cuda")
    with pytest.raises(UserError, match="device=gpu: expected auto, cpu, cuda"):
        open_engine(file, "gpu")


def test_exported_files_are_known_by_name(tmp_path):
    assert exported_file("runs/mine") is None
    assert exported_file(str(tmp_path)) is None
    with pytest.raises(UserError, match=r"missing\.onnx: there is no such file"):
        exported_file(str(tmp_path / "missing.onnx"))
    for name in ("model.xml", "model.bin"):
        (tmp_path / name).touch()
    assert exported_file(str(tmp_path)) == tmp_path / "model.xml"
    (tmp_path / "config.yaml").touch()  # a run with an export in its folder
    assert exported_file(str(tmp_path)) is None
