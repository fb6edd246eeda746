"""Saved configurations of earlier versions open, and their keys are refused with the new ones."""

import pytest

from detkit.config.compose import compose
from detkit.config.earlier_versions import with_head_parts
from detkit.config.pages import filled
from detkit.errors import ConfigError

KEYS = [
    ("fcos", "convs", 2, "layers", "convs"),
    ("fcos", "norm", "none", "layers", "norm"),
    ("atss", "level_scales", False, "layers", "level_scales"),
    ("ssd", "prior_probability", 0.1, "layers", "prior_probability"),
    ("yolov3", "activation", "silu", "layers", "activation"),
    ("yolov4", "objects", 4.0, "layers", "objects"),
    ("yolo_free", "channels", 80, "layers", "channels"),
    ("fcos", "score_exponent", 1.0, "quality_target", "score_exponent"),
    ("fcos", "weigh_boxes_by_quality", True, "quality_target", "weighs_boxes"),
]


def opened(family, node):
    return with_head_parts({"model": {family: node}, "seed": 1})["model"][family]


@pytest.mark.parametrize(("head", "key", "value", "slot", "new_key"), KEYS)
def test_an_old_key_of_a_head_opens(head, key, value, slot, new_key):
    quality = {"quality_target": {"name": "centreness"}} if slot == "quality_target" else {}
    node = opened("head", {"name": head, key: value, **quality})
    assert node["name"] == "dense"
    assert node[slot][new_key] == value
    assert key not in node


def test_other_values_of_an_old_head_stay():
    nms = {"name": "nms", "iou_threshold": 0.3}
    node = opened("head", {"name": "retinanet", "postprocess": nms, "empty_image": 3.0})
    assert node["postprocess"] == filled("postprocess", nms)
    assert node["empty_image"] == 3.0
    assert node["layers"] == filled("head", {"name": "retinanet"})["layers"]


def test_an_old_head_is_complete():
    """So that `config diff` with a run of this version shows no difference but real ones."""
    node = opened("head", {"name": "fcos"})
    assert node["objects_per_image"] is None
    assert node["layers"]["convs"] == 4


def test_constants_of_an_old_class_equal_its_page():
    assert opened("head", {"name": "yolov3"})["objects_per_image"] == 10.0
    assert opened("head", {"name": "ssdlite"})["layers"]["separable"] is True


@pytest.mark.parametrize(("key", "value"), [("convs", 2), ("prior_probability", 0.1)])
def test_an_old_key_of_a_proposer_opens(key, value):
    node = opened("proposer", {"name": "rpn", key: value, "min_size": 2.0})
    assert node == filled(
        "proposer", {"name": "rpn", "min_size": 2.0, "layers": {"name": "rpn", key: value}}
    )
    assert node["layers"][key] == value


def test_a_current_configuration_is_unchanged():
    config = {"model": {"head": {"name": "dense", "layers": {"name": "towers"}}}}
    assert with_head_parts(config) == config


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("model.head.convs=1", "model.head.convs: has moved to model.head.layers.convs."),
        (
            "model.head.score_exponent=1",
            "model.head.score_exponent: has moved to model.head.quality_target.score_exponent.",
        ),
    ],
)
def test_an_override_of_an_old_key_names_the_new_one(old, new):
    with pytest.raises(ConfigError) as error:
        compose("train", ["model=fcos", "data=shapes", old])
    assert error.value.problems == [f"{new} (command line)"]
