"""Each page of conf/model as a user takes it, with the augmentation that its comment asks for."""

from pathlib import Path

import pytest
from eight_images import first_images

from detkit.assembly import Classes, image_size
from detkit.cli.config import wiring
from detkit.cli.main import main
from detkit.config.compose import compose

PAGES = sorted(path.stem for path in Path(__file__).parents[2].glob("conf/model/*.yaml"))
UNITS = {"detr": "queries", "cornernet": "corners"}
PRIORS = {
    "ssd300": "8,732",
    "ssd512": "24,564",
    "ssdlite": "3,234",
    "retinanet": "76,725",
    "refinedet320": "6,375",
    "refinedet512": "16,320",
}
AUGMENTATIONS = {"refinedet320": "ssdlite", "refinedet512": "ssd512"}


def words(page):
    own = page.removeprefix("torchvision_").removeprefix("mmdet_") if "ssd" in page else None
    augmentation = AUGMENTATIONS.get(page, own)
    return [f"model={page}", *([f"augmentation={augmentation}"] if augmentation else [])]


def table(page, *more):
    config = compose("train", [*words(page), *more])
    classes = Classes(["a", "b"], [1, 2])
    return wiring(config["model"], classes, image_size(config))


def slow_without_published_priors(page):
    """tests/config/test_pages.py builds each page; this adds the numbers of priors."""
    known = page.removeprefix("torchvision_") in PRIORS
    return pytest.param(page, marks=[] if known else pytest.mark.slow)


@pytest.mark.parametrize("page", map(slow_without_published_priors, PAGES))
def test_maps_and_priors_fit_each_other(page):
    expected = PRIORS.get(page.removeprefix("torchvision_").removeprefix("mmdet_"), "")
    unit = UNITS.get(page, "priors")
    assert f"{expected} {unit}" in table(page)


@pytest.mark.parametrize(
    "backbone",
    [
        "convnext_tiny",
        "deformable",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("resnet101", "swin_tiny")),
    ],
)
def test_wiring_needs_no_memory_for_any_kind_of_backbone(backbone):
    assert "8,525 priors" in table("fcos", f"model/backbone={backbone}")


@pytest.mark.slow
def test_images_of_300_pixels_reach_ssd300_as_they_are(tmp_path):
    batch, detector, _ = first_images(tmp_path / "shapes", 1, 96, *words("ssd300"))
    assert batch.images.shape[-2:] == (300, 300)
    assert all(value.isfinite() for value in detector.loss(batch).values())
    assert len(detector.eval().predict(batch)) == 1


def test_sizes_that_a_page_does_not_take_are_refused(capsys):
    assert main(["config", "model=ssd300"]) == 2
    shown = capsys.readouterr()
    assert "resize images to 300 x 300" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["model=ssd300", "model/neck=none"], "`scales` has 7 entries, but the neck gives 2"),
        (
            ["model=yolov5n", "model/backbone=resnet18", "model.backbone.levels=[2,4,5]"],
            "4, 16, 32",
        ),
        (["model=retinanet", "model/head/box_coder=distribution"], "differences mean nothing"),
    ],
    ids=str,
)
def test_parts_that_do_not_fit_are_refused_before_any_data_is_read(
    tmp_path, monkeypatch, capsys, given, message
):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *given]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
