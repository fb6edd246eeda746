"""Images are normalised as the backbone's weights expect, unless the configuration says."""

from pathlib import Path

import pytest
import timm
import torch

from detkit import assembly
from detkit.assembly import Classes
from detkit.cli.config import wiring
from detkit.config.compose import compose
from detkit.config.derived.pixel_statistics import IMAGENET, pixel_notes, widen
from detkit.config.provenance import History
from detkit.errors import ConfigError

HALVED = ["model/backbone=timm", "model.backbone.model=test_resnet"]  # trained on -1..1
LITE = ["model/backbone=timm", "model.backbone.model=tf_efficientnet_lite0"]
HALF = [127.5, 127.5, 127.5]
WEIGHTS = Path(__file__).parents[4] / "shared/weights/tf_efficientnet_lite0.safetensors"


def model(*words):
    return compose("train", list(words))["model"]


def pixels(*words):
    composed = model(*words)
    return composed["pixel_mean"], composed["pixel_std"]


@pytest.mark.parametrize("page", ["fcos", "faster_rcnn"])
# pain 51
def test_a_timm_model_gets_the_pixel_statistics_of_its_training(page):
    levels = ["model.backbone.levels=[2,3,4,5]"] if page == "faster_rcnn" else []
    assert pixels(f"model={page}", *HALVED, *levels) == (HALF, HALF)


@pytest.mark.parametrize(
    "words",
    [
        ["model=fcos"],
        ["model=yolov5n"],
        ["experiment=bccd_416", "data.path=x"],
        ["model/backbone=timm", "model.backbone.model=resnet18"],
        ["model/backbone=mobilenet_v1"],  # which adapts ImageNet's by itself
    ],
    ids=str,
)
def test_all_others_stay_at_imagenets(words):
    assert pixels(*words) == IMAGENET


def test_a_page_or_a_word_has_the_last_say():
    assert pixels(*HALVED, "model.pixel_mean=[1,2,3]") == ([1, 2, 3], HALF)
    assert pixels("model=torchvision_ssd300")[1] == [1.0, 1.0, 1.0]


def test_a_backbone_that_changes_another_expects_what_that_one_does():
    words = ["model/backbone=deformable", "model/backbone/backbone=timm"]
    assert pixels(*words, "model.backbone.backbone.model=test_resnet") == (HALF, HALF)


def test_a_checkpoint_keeps_the_values_that_it_was_trained_with():
    config = compose("train", HALVED)
    config["model"].update(pixel_mean=IMAGENET[0], pixel_std=IMAGENET[1])
    resumed = compose("resume", ["trainer.max_epochs=20"], config)["model"]
    assert (resumed["pixel_mean"], resumed["pixel_std"]) == IMAGENET


def test_the_wiring_shows_the_values_and_their_owners():
    classes = Classes(["a"], [1])
    table = wiring(model(*HALVED), classes, (64, 64))
    assert "deviation 127.5, 127.5, 127.5: expected by the backbone's published weights" in table
    changed = model(*HALVED, "model.pixel_mean=[1,2,3]")
    assert "mean 1, 2, 3" in (table := wiring(changed, classes, (64, 64)))
    assert "set in the configuration; the backbone expects mean 127.5" in table


def test_only_unusual_values_are_worth_a_note():
    assert pixel_notes(model("model=fcos")) == []
    assert pixel_notes(model("model=torchvision_ssd300")) == []
    assert "mean 127.5" in pixel_notes(model(*HALVED))[0]


def test_the_history_names_the_backbone():
    found = History("train", compose("train", HALVED), HALVED).explain("model.pixel_mean")
    assert found[0].steps[-1].source == "expected by the backbone's published weights"


@pytest.mark.slow
@pytest.mark.skipif(not WEIGHTS.exists(), reason="the weights are not on this machine")
def test_real_weights_see_the_pixels_that_timm_would_give_them():
    words = [*LITE, f"model.backbone.checkpoint={WEIGHTS}"]
    detector = assembly.build_detector(model(*words), Classes(["a"], [1])).eval()
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    theirs = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=[2, 3, 4])
    theirs.load_state_dict(detector.backbone.model.state_dict())
    expected = theirs.eval()((images / 255 - 0.5) / 0.5)
    levels = detector.backbone(detector._normalise(images))
    torch.testing.assert_close(levels, expected, rtol=1e-3, atol=1e-4)


FOUR = ["data=folder", "data.path=x", "data.channels=4"]


def test_further_channels_take_the_mean_of_the_colours():
    composed = model(*FOUR)
    assert composed["pixel_mean"] == [*IMAGENET[0], pytest.approx(114.495)]
    assert composed["pixel_std"][3] == pytest.approx(sum(IMAGENET[1]) / 3)
    assert widen(IMAGENET[0], 1) == [pytest.approx(114.495)]
    assert "made from those of red, green and blue" in pixel_notes(composed)[0]


def test_statistics_of_other_channels_are_refused():
    with pytest.raises(ConfigError, match=r"pixel_mean: has 2 values, and images have 4 channels"):
        pixels(*FOUR, "model.pixel_mean=[1,2]")


@pytest.mark.parametrize("channels", [1, 4])
def test_the_first_layer_of_a_detector_takes_the_channels(channels):
    words = ["data=folder", "data.path=x", f"data.channels={channels}", *HALVED]
    detector = assembly.describe_on_meta(model("model=fcos", *words), Classes(["a"], [1]))
    image = torch.empty(1, channels, 64, 64, device="meta")
    assert detector.eval()(image).class_logits.shape[0] == 1


def test_steps_that_need_colours_are_refused_before_training():
    config = compose("train", [*FOUR, "augmentation=strong"])
    with pytest.raises(ConfigError, match=r"augmentation\.train\.colours: color_jitter changes"):
        assembly.build_data(config)
