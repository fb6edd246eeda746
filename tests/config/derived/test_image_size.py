"""`image_size`: one setting that every augmentation page follows."""

from __future__ import annotations

import pytest

from detkit import assembly
from detkit.config.compose import compose
from detkit.errors import ConfigError

FOLLOWING = ["mosaic", "ssdlite", "standard", "strong", "torchvision"]


def augmentation(*words: str) -> dict:
    return compose("train", list(words))["augmentation"]


@pytest.mark.parametrize("page", FOLLOWING)
def test_every_page_brings_all_images_to_it(page):
    config = compose("train", [f"augmentation={page}", "image_size=416"])
    assert assembly.image_size(config) == (416, 416)
    for split in ("train", "evaluation"):
        sizes = [v for step in config["augmentation"][split].values() for v in sides(step)]
        assert set(sizes) <= {416, 832}  # the canvas of mosaic is twice as large


def sides(step: dict) -> list[int]:
    keys = ("short_side", "long_side", "height", "width")
    return [step[key] for key in keys if step.get(key) is not None]


def test_pages_keep_their_own_sizes_without_it():
    assert augmentation("augmentation=mosaic")["train"]["mosaic"]["height"] == 1280
    assert augmentation()["evaluation"]["resize"]["long_side"] == 1066
    assert augmentation()["evaluation"]["resize"]["enlarge"] is False


def test_an_experiment_takes_a_word_instead_of_six():
    found = augmentation("experiment=bccd_416", "data.path=X", "image_size=[320,416]")
    assert sides(found["train"]["resize"]) == [320, 416]
    assert sides(found["evaluation"]["resize"]) == [320, 416]
    assert sides(found["train"]["crop"]) == [320, 416]


def test_images_are_enlarged_to_it():
    assert augmentation("image_size=416")["evaluation"]["resize"]["enlarge"] is True


def test_a_value_typed_for_a_transform_stays():
    typed = "augmentation.train.mosaic.height=600"
    found = augmentation("augmentation=mosaic", "image_size=416", typed)
    assert sides(found["train"]["mosaic"]) == [600, 832]


def test_a_size_typed_inside_a_mapping_stays():
    resize = "{name: resize, short_side: 300, long_side: 400}"
    sizes = augmentation("image_size=320", f"augmentation.train.resize={resize}")
    assert sides(sizes["train"]["resize"]) == [300, 400]
    assert sides(sizes["evaluation"]["resize"]) == [320, 320]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=ssd300", "augmentation=ssd300"], r"priors.steps fits only images of 300"),
        (["augmentation.evaluation.resize=null"], r"nothing in augmentation.evaluation resizes"),
        (["augmentation.train.resize=null"], r"nothing in augmentation.train resizes"),
    ],
)
def test_parts_that_cannot_follow_the_image_size_are_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        compose("train", [*words, "image_size=416"])


def test_priors_in_parts_of_the_image_follow():
    config = compose("train", ["model=ssdlite", "augmentation=ssdlite", "image_size=[256,320]"])
    assert config["model"]["head"]["priors"]["image_size"] == [256, 320]


# pain 43
def test_a_checkpoint_keeps_its_training_size_until_another_is_typed():
    stored = compose("train", ["image_size=416", "augmentation.evaluation.resize.short_side=300"])
    resize = compose("evaluate", ["ckpt=X"], stored)["augmentation"]["evaluation"]["resize"]
    assert sides(resize) == [300, 416]
    larger = compose("evaluate", ["ckpt=X", "image_size=640"], stored)["augmentation"]
    assert sides(larger["evaluation"]["resize"]) == [640, 640]
    page = compose("predict", ["ckpt=X", "source=Y", "augmentation=mosaic"], stored)["augmentation"]
    assert sides(page["evaluation"]["resize"]) == [416, 416]


def test_a_page_can_set_it(tmp_path, monkeypatch):
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("# @package _global_\nimage_size: 320\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert sides(augmentation("experiment=mine")["train"]["resize"]) == [320, 320]
