"""The check: every kind of wrong value, all at once, each with its path and what to change."""

import re
from collections.abc import Callable

import pytest

from detkit.config.compose import compose
from detkit.errors import ConfigError


def problems(composed: Callable, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        composed(*overrides)
    return caught.value.problems


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.neck.out_chanels=64", r"unknown key. Did you mean 'out_channels'\?"),
        ("+model.neck.out_chanels=64", r"unknown key. Did you mean 'out_channels'\?"),
        ("modle=toy", r"modle: unknown key. Did you mean 'model'\?"),
        ("model.head.convs=many", r"model.head.convs: expected int > 0, got 'many' \(str\)"),
        ("model.head.convs=0", r"expected int > 0, got 0"),
        ("model.head.convs=true", r"expected int > 0, got True"),
        ("model.head.classification_loss.alpha=2", r"expected float 0..1, got 2"),
        ("model.neck.extra=p7", r"expected \"?none\"? \| p6p7, got 'p7'"),
        ("block.extent=[1,2,3]", r"block.extent: expected \[int, int\], got \[1, 2, 3\]"),
        ("rates=[1,a]", r"rates: expected list of float"),
        ("block.path=???", r"block.path: a value is missing \(text: Where it is\.?\)"),
        ("model.head.num_classes=3", r"model.head.num_classes: is set by detkit"),
        ("model.head.box_loss=toy_gio", r"there is no loss 'toy_gio'. Did you mean 'toy_giou'"),
        ("model.neck.name=os.system", r"there is no neck 'os.system'"),
        ("model/head/box_loss=toy_focal", r"works on classes, this slot takes codes or boxes"),
        ("model.neck=null", r"model.neck: a neck is missing; choose one of"),
        ("model.neck=3", r"expected the name of a neck, got 3"),
    ],
)
def test_wrong_value_is_one_clear_line(composed: Callable, override: str, message: str) -> None:
    (problem,) = problems(composed, override)
    assert re.search(message, problem), problem


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "model.head.layers=null",
            "model.head.layers: layers are missing; choose one of decoupled",
        ),
        ("model.head.layers=tower", "there are no layers 'tower'. Did you mean 'towers'?"),
    ],
)
def test_families_in_the_plural_take_no_article(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        compose("train", ["model=fcos", "data=shapes", override])


def test_code_is_refused_everywhere(composed: Callable, write: Callable) -> None:
    assert "is refused" in problems(composed, "+model.neck._target_=os.system")[0]
    assert "is refused" in problems(composed, "+hydra.callbacks.x._target_=shutil.copy")[0]
    write("experiment/bad", "# @package _global_\nmodel: {neck: {_target_: os.system}}\n")
    assert "is refused" in problems(composed, "experiment=bad")[0]


def test_all_problems_come_at_once(composed: Callable) -> None:
    found = problems(
        composed, "model.neck.out_chanels=1", "model.head.convs=x", "title=3", "block.siz=2"
    )
    assert len(found) == 4


def test_key_left_over_from_a_replaced_part_names_its_owner(
    composed: Callable, write: Callable
) -> None:
    write("experiment/old", "# @package _global_\nmodel:\n  neck: {extra: none}\n")
    (problem,) = problems(composed, "experiment=old", "model/neck=toy_pan")
    assert "model.neck.extra: unknown key." in problem
    assert re.search(r"an argument of neck .*'toy_fpn', not of 'toy_pan'", problem)
    assert "experiment/old.yaml, line 3" in problem


def test_place_of_a_wrong_value_is_named(composed: Callable, write: Callable) -> None:  # pain 8
    write("experiment/bad", "# @package _global_\nmodel:\n  head:\n    convs: many\nnothing: 1\n")
    found = problems(composed, "experiment=bad")
    assert any("convs" in p and "experiment/bad.yaml, line 4" in p for p in found)
    assert any("nothing" in p and "experiment/bad.yaml, line 5" in p for p in found)
    assert "(command line)" in problems(composed, "model.head.convs=x")[0]


def test_failed_plugin_is_named_if_its_part_is_missing(  # pain 9
    composed: Callable, write: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detkit import registry

    monkeypatch.setattr(registry, "plugin_failures", {"mine.py": ImportError("no module x")})
    (problem,) = problems(composed, "model/neck=mine")
    assert "Plugin 'mine.py' could not be loaded: ImportError: no module x." in problem


@pytest.mark.parametrize("loss", ["quality_focal", "equalisation", "seesaw", "squared_score"])
def test_losses_without_label_smoothing_say_why(loss: str) -> None:
    key = "model.head.classification_loss.label_smoothing"
    with pytest.raises(ConfigError, match=f"Loss '{loss}' has no label smoothing: it"):
        compose("train", [f"model/head/classification_loss={loss}", f"{key}=0.1"])
