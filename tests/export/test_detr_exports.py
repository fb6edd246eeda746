"""DETR in export formats beside ONNX, with its certificate: a minute for each."""

import importlib.util
from pathlib import Path

import pytest

from detkit.api.checkpoint_config import compose_with
from detkit.api.export import Export
from detkit.runs.checkpoint import read_checkpoint

SCRIPT = Path(__file__).parents[2] / "scripts/export_table.py"
SMALL = [
    "model/backbone=resnet18",
    "model.neck.out_channels=32",
    "model.head.width=32",
    "model.head.queries=30",
    "model.head.encoder_layers=2",
    "model.head.decoder_layers=2",
    "model.head.attention_heads=4",
    "model.head.feed_forward=64",
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("export_table", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    path, _ = script.random_checkpoint("detr", tmp_path_factory.mktemp("detr"), SMALL)
    return read_checkpoint(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["exporter=openvino"], "detr.xml"),
        (["exporter=torch_export"], "detr.pt2"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_certificate_passes(words, name, checkpoint, tmp_path):
    words = [f"ckpt={checkpoint.path}", f"output={tmp_path / name}", *words]
    exported = Export(checkpoint, compose_with(checkpoint, "export", words), "detr").run()
    certificate = exported.certificate
    assert certificate.passed, certificate.text()
    assert {check.name for check in certificate.checks} >= {"axes", "outputs", "AP"}
