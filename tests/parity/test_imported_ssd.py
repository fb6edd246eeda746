"""torchvision's SSDlite, saved and imported by the command, detects what it detected."""

from __future__ import annotations

import pytest
import torch
from pictures import rendered_batch, squared
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision_ssd import torchvision_model

from detkit import assembly
from detkit.assembly import Classes
from detkit.cli.main import main
from detkit.errors import UserError
from detkit.runs.checkpoint import load_weights, read_checkpoint
from detkit.weights.source import name_classes, read_source


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """torchvision's model, its file, the checkpoint made of it, and a batch."""
    folder = tmp_path_factory.mktemp("imported")
    batch = squared(rendered_batch(divisor=1), 320)
    theirs = torchvision_model("ssdlite", batch.images)
    torch.save(theirs.state_dict(), folder / "file.pth")
    words = [str(folder / "file.pth"), "classes=[a,b,c]", f"output={folder / 'a.ckpt'}"]
    assert main(["import", *words]) == 0
    return theirs, folder / "file.pth", read_checkpoint(folder / "a.ckpt"), batch


def test_detections_are_torchvisions(imported):
    theirs, _, checkpoint, batch = imported
    classes = Classes(checkpoint.class_names, checkpoint.category_ids)
    ours = assembly.build_detector(checkpoint.config["model"], classes).eval()
    load_weights(ours, checkpoint)
    with torch.no_grad():
        expected = theirs([image.float() for image in batch.images])
    for found, image in zip(ours.predict(batch), expected, strict=True):
        assert torch.equal(found.labels, image["labels"] - 1)
        torch.testing.assert_close(found.scores, image["scores"], rtol=0, atol=1e-5)
        torch.testing.assert_close(found.boxes, image["boxes"], rtol=0, atol=0.01)


def test_images_are_resized_as_torchvision_resizes_them(imported):
    assert imported[2].config["augmentation"]["evaluation"] == {
        "resize": {"name": "resize_exact", "height": 320, "width": 320}
    }


def test_as_many_names_as_classes_are_wanted_and_background_is_none(imported):
    source = read_source(str(imported[1]))
    assert name_classes(source, ["a", "b", "c"]).slots.names == ["a", "b", "c"]
    assert name_classes(source, ["__background__", "a", "b", "c"]).slots.names == ["a", "b", "c"]
    with pytest.raises(UserError, match=r"'a' has label 0, which is the background"):
        name_classes(source, ["a", "b", "c", "d"])


def test_a_file_of_91_classes_has_coco_classes(tmp_path):
    whole = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
    torch.save(whole.state_dict(), tmp_path / "coco.pth")
    source = read_source(str(tmp_path / "coco.pth"))
    assert source.kind == "torchvision ssdlite, with the classes of COCO"
    names, numbers = source.slots.used()
    assert (names[0], numbers[0], names[-1], numbers[-1]) == ("person", 1, "toothbrush", 90)
    assert len(names) == 80
