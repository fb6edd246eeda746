"""Composition on toy parts: every row of what a user may type, and what she gets."""

from collections.abc import Callable

import pytest

from detkit.errors import ConfigError

RETINA = {
    "name": "toy_retina",
    "convs": 3,
    "classification_loss": {"name": "toy_focal", "alpha": 0.3},
    "box_loss": {"name": "toy_l1", "weight": 1.0},
    "quality_loss": None,
}
FCOS = {
    "name": "toy_fcos",
    "radius": 1.5,
    "box_loss": {"name": "toy_giou", "weight": 2.0, "mode": "linear"},
}
EXPERIMENT = """\
# @package _global_
model:
  neck: {name: toy_pan, out_channels: 128}
  head: {convs: 2, box_loss: {name: toy_giou, mode: log}}
"""


def test_page_gives_its_parts_with_every_default(composed: Callable) -> None:
    assert composed() == {
        "model": {
            "name": "toy_stage",
            "backbone": {"name": "toy_net", "frozen": 1, "depth": 4},
            "neck": {"name": "toy_fpn", "out_channels": 256, "extra": "p6p7"},
            "head": RETINA,
        },
        "block": {"path": "here", "size": 3, "extent": [4, 5]},
        "title": "page",
        "rates": [],
    }


def test_swapped_part_leaves_nothing_behind(composed: Callable) -> None:  # pain 7
    assert composed("model/neck=toy_pan")["model"]["neck"] == {
        "name": "toy_pan",
        "out_channels": 256,
    }


def test_swapped_head_brings_its_own_parts(composed: Callable) -> None:
    assert composed("model/head=toy_fcos")["model"]["head"] == FCOS


def test_swap_and_value_together(composed: Callable) -> None:
    head = composed("model/head/box_loss=toy_giou", "model.head.box_loss.weight=3")["model"]["head"]
    assert head["box_loss"] == {"name": "toy_giou", "weight": 3, "mode": "linear"}
    assert head["classification_loss"]["alpha"] == 0.3


def test_bare_name_is_completed(composed: Callable) -> None:
    head = composed("model.head.box_loss=toy_giou")["model"]["head"]
    assert head["box_loss"] == {"name": "toy_giou", "weight": 1.0, "mode": "linear"}


def test_values_need_no_plus(composed: Callable) -> None:
    config = composed("model.neck.out_channels=64", "block.size=7", "title=x")
    assert config["model"]["neck"]["out_channels"] == 64
    assert config["block"]["size"] == 7
    assert config["title"] == "x"


def test_optional_slot_is_filled_by_group_and_by_name(composed: Callable) -> None:
    expected = {"name": "toy_focal", "alpha": 0.25}
    by_group = composed("model/head/quality_loss=toy_focal")["model"]["head"]
    by_name = composed("model.head.quality_loss=toy_focal")["model"]["head"]
    assert by_group["quality_loss"] == by_name["quality_loss"] == expected


def test_whole_model_from_the_registry(composed: Callable) -> None:
    config = composed("model=toy_stage")["model"]
    assert config["neck"] == {"name": "toy_fpn", "out_channels": 256, "extra": "none"}


def test_experiment_replaces_named_parts_and_tunes_others(
    composed: Callable, write: Callable
) -> None:
    write("experiment/small", EXPERIMENT)
    model = composed("experiment=small")["model"]
    assert model["neck"] == {"name": "toy_pan", "out_channels": 128}
    assert model["head"] == RETINA | {
        "convs": 2,
        "box_loss": {"name": "toy_giou", "weight": 1.0, "mode": "log"},
    }


def test_command_line_wins_over_experiment(composed: Callable, write: Callable) -> None:
    write("experiment/small", EXPERIMENT)
    model = composed("experiment=small", "model/neck=toy_fpn", "model.head.convs=5")["model"]
    assert model["neck"] == {"name": "toy_fpn", "out_channels": 256, "extra": "none"}
    assert model["head"]["convs"] == 5


def test_experiment_chooses_another_page(composed: Callable, write: Callable) -> None:
    write("model/other", "head: toy_fcos\n")
    write(
        "experiment/other",
        "# @package _global_\ndefaults: [{override /model: other}]\nmodel: {head: {radius: 2.0}}\n",
    )
    assert composed("experiment=other")["model"]["head"] == FCOS | {"radius": 2.0}


def test_page_that_inherits_tunes_its_parent(composed: Callable, write: Callable) -> None:
    write("model/child", "defaults: [toy]\nneck: {out_channels: 64}\nhead: {box_loss: toy_giou}\n")
    model = composed("model=child")["model"]
    assert model["neck"] == {"name": "toy_fpn", "out_channels": 64, "extra": "p6p7"}
    assert model["head"]["box_loss"]["name"] == "toy_giou"
    assert model["head"]["convs"] == 3


def test_part_given_inline_on_the_command_line(composed: Callable) -> None:
    head = composed("model.head.box_loss={name: toy_giou, weight: 4.0}")["model"]["head"]
    assert head["box_loss"] == {"name": "toy_giou", "weight": 4.0, "mode": "linear"}


def test_page_of_the_users_folder_shadows_ours(
    composed: Callable, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("mine")
    (folder / "model").mkdir()
    (folder / "model/toy.yaml").write_text("neck: toy_pan\n")
    monkeypatch.setenv("DETKIT_CONFIG_DIR", str(folder))
    assert composed()["model"]["neck"]["name"] == "toy_pan"


def test_floats_in_scientific_notation_are_numbers(composed: Callable, write: Callable) -> None:
    write("experiment/rates", "# @package _global_\nrates: [1e-4, 2]\n")
    assert composed("experiment=rates")["rates"] == [1e-4, 2]


def test_missing_option_suggests_the_nearest(composed: Callable) -> None:
    with pytest.raises(ConfigError, match=r"model/neck: there is no neck 'toy_pam'.*'toy_pan'"):
        composed("model/neck=toy_pam")


def test_missing_page_suggests_the_nearest(composed: Callable, write: Callable) -> None:
    write("experiment/small", EXPERIMENT)
    with pytest.raises(ConfigError, match=r"experiment: there is no 'smal'.*Did you mean 'small'"):
        composed("experiment=smal")


def test_missing_group_suggests_the_nearest(composed: Callable) -> None:
    with pytest.raises(ConfigError, match=r"no group 'model/nekc'.*Did you mean 'neck'"):
        composed("model/nekc=toy_pan")


def test_word_that_is_no_override(composed: Callable) -> None:
    with pytest.raises(ConfigError, match=r"cannot read 'model\.neck'"):
        composed("model.neck")


def test_page_that_includes_itself(composed: Callable, write: Callable) -> None:
    write("model/loop", "defaults: [loop]\nneck: toy_pan\n")
    with pytest.raises(ConfigError, match="cycle: model/loop -> model/loop"):
        composed("model=loop")


def test_invalid_yaml(composed: Callable, write: Callable) -> None:
    write("model/broken", "neck: {name: toy_pan\nhead: 3")
    with pytest.raises(ConfigError, match=r"broken\.yaml, line 2: this is not valid YAML"):
        composed("model=broken")


def test_interpolation_in_braces_without_quotes_is_explained(
    composed: Callable, write: Callable
) -> None:
    write("experiment/x", "# @package _global_\nmodel: {neck: {out_channels: ${size}}}\n")
    with pytest.raises(ConfigError, match=r'Inside braces an interpolation needs quotes: "\$'):
        composed("experiment=x")


def test_name_in_another_case_is_meant(composed: Callable) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'toy_fpn'"):
        composed("model.neck=TOY_FPN")
