"""A torchvision Faster R-CNN, saved and imported by the command, detects what it detected."""

from __future__ import annotations

import pytest
import torch
from pictures import rendered_batch
from torchvision_two_stage import CANDIDATES, REGIONS, torchvision_two_stage, versions
from torchvision_weights import DIVISOR

from detkit import assembly
from detkit.assembly import Classes
from detkit.cli.main import main
from detkit.runs.checkpoint import load_weights, read_checkpoint

pytestmark = pytest.mark.slow  # test_imported_detectors.py imports a dense one by default


@pytest.fixture(scope="module", params=versions())
def models(request, tmp_path_factory):
    """torchvision's model, and its checkpoint after the import."""
    folder = tmp_path_factory.mktemp("imported")
    batch = rendered_batch(DIVISOR)
    theirs = torchvision_two_stage(request.param, batch.images)
    torch.save(theirs.state_dict(), folder / "file.pth")
    words = [str(folder / "file.pth"), "classes=[a,b,c]", f"output={folder / 'a.ckpt'}"]
    assert main(["import", *words]) == 0
    return request.param, theirs, read_checkpoint(folder / "a.ckpt"), batch


def test_every_tensor_is_imported(models):
    _, theirs, checkpoint, _ = models
    head = [n for n in checkpoint.weights if not n.startswith("backbone.")]
    expected = [n for n in theirs.state_dict() if not n.startswith("backbone.body.")]
    assert len(head) == len(expected)
    assert checkpoint.class_names == ["a", "b", "c"]


def test_detections_are_torchvisions(models):
    _, theirs, checkpoint, batch = models
    proposing = checkpoint.config["model"]["proposer"]["postprocess"]
    proposing.update(max_candidates=CANDIDATES["testing"], max_detections=REGIONS["testing"])
    classes = Classes(checkpoint.class_names, checkpoint.category_ids)
    ours = assembly.build_detector(checkpoint.config["model"], classes).eval()
    load_weights(ours, checkpoint)
    images = [
        image[:, :height, :width].float()
        for image, (height, width) in zip(batch.images, batch.image_sizes, strict=True)
    ]
    with torch.no_grad():
        expected = theirs(images)
    for found, image in zip(ours.predict(batch), expected, strict=True):
        assert len(image["labels"]) > 5
        assert torch.equal(found.labels + 1, image["labels"])
        torch.testing.assert_close(found.scores, image["scores"], rtol=0, atol=1e-5)
        torch.testing.assert_close(found.boxes, image["boxes"], rtol=0, atol=0.01)
