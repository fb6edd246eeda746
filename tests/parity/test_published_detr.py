"""Published DETR files, by the names of both layouts, import with equal logits and boxes."""

import pytest
import torch
from published_detr import random_reference, transformers_names
from torch.testing import assert_close

from detkit.assembly import Classes, build_detector
from detkit.cli.main import main
from detkit.runs.checkpoint import load_weights, read_checkpoint

SMALL = {"backbone": "resnet18", "width": 32, "heads": 4, "hidden": 64, "layers": (2, 3)}
SMALL |= {"queries": 12, "classes": 3}
WORDS = [
    "model/backbone=resnet18",
    "model.backbone.norm=frozen_batch",
    "model.neck.out_channels=32",
    "model.head.width=32",
    "model.head.queries=12",
    "model.head.encoder_layers=2",
    "model.head.decoder_layers=3",
    "model.head.attention_heads=4",
    "model.head.feed_forward=64",
    "classes=[a,b,c]",
]
# The authors' ResNet-50, with the 91 classes of COCO that the page expects.
FULL = {"backbone": "resnet50", "width": 256, "heads": 8, "hidden": 2048, "layers": (6, 6)}
FULL |= {"queries": 100, "classes": 91}
LAYOUTS = {"authors": dict, "transformers": transformers_names}


def outputs(reference, tensors, words, folder, capsys):
    torch.save({"model": tensors}, folder / "detr.pth")
    assert main(["import", str(folder / "detr.pth"), *words, f"output={folder / 'x.ckpt'}"]) == 0
    assert "not loaded" not in capsys.readouterr().out
    checkpoint = read_checkpoint(folder / "x.ckpt")
    classes = Classes(checkpoint.class_names, checkpoint.category_ids)
    detector = build_detector(checkpoint.config["model"], classes, fetch_weights=False).eval()
    load_weights(detector, checkpoint)
    images = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(0)) * 255
    normalised = (images - detector.pixel_mean) / detector.pixel_std
    with torch.no_grad():
        logits, boxes = reference(normalised)
        predictions = detector(images)
    return predictions, logits, boxes, checkpoint.category_ids


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_small_file_imports_with_equal_outputs(layout, tmp_path, capsys):
    reference = random_reference(**SMALL)
    tensors = LAYOUTS[layout](reference.state_dict())
    predictions, logits, boxes, _ = outputs(reference, tensors, WORDS, tmp_path, capsys)
    assert_close(predictions.class_logits, logits, rtol=0, atol=1e-4)
    assert_close(predictions.box_codes, boxes, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_of_the_published_size_imports_with_coco_classes(layout, tmp_path, capsys):
    reference = random_reference(**FULL)
    tensors = LAYOUTS[layout](reference.state_dict())
    # The authors count 41,302,368 that learn: without the first two stages, which are frozen.
    assert sum(p.numel() for p in reference.parameters()) == 41_302_368 + 222_400
    predictions, logits, boxes, ids = outputs(reference, tensors, [], tmp_path, capsys)
    rows = [*ids, 91]  # numbers that COCO does not use have no class
    assert_close(predictions.class_logits, logits[..., rows], rtol=0, atol=1e-4)
    assert_close(predictions.box_codes, boxes, rtol=0, atol=1e-4)
