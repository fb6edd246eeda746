"""YOLOX by its authors' tensor names, imported by the command, gives LibreYOLO's outputs.

LibreYOLO (MIT) keeps the authors' names. Its networks take BGR images from 0 to 255. Outputs are
compared in float64, as these random networks amplify rounding a thousand times and more.
"""

from __future__ import annotations

import pytest
import torch
from measured_differences import assert_equal_within
from torch import nn

from detkit import assembly
from detkit.assembly import Classes
from detkit.cli.main import main
from detkit.runs.checkpoint import load_weights, read_checkpoint

pytestmark = pytest.mark.slow
SIZES = {"t": "YOLOX-tiny", "s": "YOLOX-s", "m": "YOLOX-m", "l": "YOLOX-l", "x": "YOLOX-x"}
OUTPUTS = {
    "cls_preds": ("class_logits", 3),
    "reg_preds": ("box_codes", 4),
    "obj_preds": ("quality", 1),
}


def yolox(size, images):
    """A network of LibreYOLO with random weights and the statistics of images."""
    reason = "the reference is LibreYOLO, which is not installed"
    networks = pytest.importorskip("libreyolo.models.yolox.nn", reason=reason)
    torch.manual_seed(0)
    model = networks.LibreYOLOXModel(size, nb_classes=3)
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.momentum = None
        nn.init.normal_(norm.bias, std=0.1)
    model.backbone.train()
    model.head.train()
    outputs_of_head(model, images)
    return model.eval()


def outputs_of_head(model, images):
    """Run the network and its head's convolutions; the maps of the last layers by their name."""
    outputs = {}
    for level, features in enumerate(model.backbone(images)):
        head = model.head
        stem = head.stems[level](features)
        classes, boxes = head.cls_convs[level](stem), head.reg_convs[level](stem)
        inputs = {"cls_preds": classes, "reg_preds": boxes, "obj_preds": boxes}
        for name, entry in inputs.items():
            outputs.setdefault(name, []).append(getattr(head, name)[level](entry))
    return outputs


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_outputs_of_the_network(size, tmp_path):
    torch.manual_seed(1)
    images = torch.randint(0, 256, (2, 3, 64, 96)).float()
    theirs = yolox(size, images.flip(1))
    torch.save(theirs.state_dict(), tmp_path / "file.pth")
    output = tmp_path / "a.ckpt"
    assert main(["import", str(tmp_path / "file.pth"), "classes=[a,b,c]", f"output={output}"]) == 0
    checkpoint = read_checkpoint(output)
    classes = Classes(checkpoint.class_names, checkpoint.category_ids)
    ours = assembly.build_detector(checkpoint.config["model"], classes).eval()
    load_weights(ours, checkpoint)
    predictions = ours.double()(images.double())
    for name, maps in outputs_of_head(theirs.double(), images.flip(1).double()).items():
        field, values = OUTPUTS[name]
        flat = [m.permute(0, 2, 3, 1).reshape(len(m), -1, values) for m in maps]
        expected = torch.cat(flat, dim=1)
        actual = getattr(predictions, field).reshape(expected.shape)
        about = {"source": "YOLOX (LibreYOLO 1.6.0)", "detector": SIZES[size]}
        assert_equal_within(actual, expected, 1e-6, **about, compared=field.replace("_", " "))
