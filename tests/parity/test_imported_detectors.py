"""A torchvision detector, saved and imported by the command, detects what it detected."""

from __future__ import annotations

import pytest
import torch
from pictures import rendered_batch
from torchvision_weights import DIVISOR, torchvision_model

from detkit import assembly
from detkit.assembly import Classes
from detkit.cli.main import main
from detkit.runs.checkpoint import load_weights, read_checkpoint

COMPLETE = {"retinanet": 36, "retinanet_v2": 52, "fcos": 54}  # tensors of neck and head


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("retinanet", marks=pytest.mark.slow),
        "retinanet_v2",
        pytest.param("fcos", marks=pytest.mark.slow),
    ],
)
def models(request, tmp_path_factory):
    """torchvision's model, and the path of its checkpoint after the import."""
    folder = tmp_path_factory.mktemp("imported")
    batch = rendered_batch(DIVISOR)
    theirs = torchvision_model(request.param, batch.images)
    torch.save(theirs.state_dict(), folder / "file.pth")
    words = [str(folder / "file.pth"), "classes=[a,b,c]", f"output={folder / 'a.ckpt'}"]
    assert main(["import", *words]) == 0
    return request.param, theirs, read_checkpoint(folder / "a.ckpt"), batch


def test_the_page_of_the_detector_is_chosen(models):
    name, _, checkpoint, _ = models
    assert checkpoint.class_names == ["a", "b", "c"]
    assigner = {"fcos": "fcos"}.get(name, "max_iou")
    assert checkpoint.config["model"]["head"]["assigner"]["name"] == assigner
    head = [n for n in checkpoint.weights if not n.startswith("backbone.")]
    assert len(head) == COMPLETE[name]


def test_detections_are_torchvisions(models):
    _, theirs, checkpoint, batch = models
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
        assert torch.equal(found.labels, image["labels"])
        torch.testing.assert_close(found.scores, image["scores"], rtol=0, atol=1e-5)
        torch.testing.assert_close(found.boxes, image["boxes"], rtol=0, atol=0.01)
