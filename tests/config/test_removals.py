"""`KEY=null`, `~KEY` and `KEY={}` remove optional parts and are refused for required ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from detkit.config.compose import compose, prepare
from detkit.config.part_overrides import hydra_words, without_nulls
from detkit.config.sweep_jobs import cells
from detkit.errors import ConfigError


@pytest.mark.parametrize(
    ("word", "overrides"),
    [
        ("logger=null", ["~logger"]),
        ("callbacks=null", ["~callbacks"]),
        ("callbacks={}", ["~callbacks"]),
        ("experiment=null", ["~experiment"]),
        ("debug=null", ["~debug"]),
        ("model/neck=null", ["++model.neck=null"]),
        ("~model.neck", ["++model.neck=null"]),
        ("augmentation.train={}", ["++augmentation.train=null"]),
        ("~augmentation.train", ["++augmentation.train=null"]),
        ("~callbacks.pictures", ["~callbacks.pictures"]),
        ("++callbacks.pictures=null", ["++callbacks.pictures=null"]),
        ("ckpt=null", ["ckpt=null"]),
    ],
)
def test_optional_parts_can_be_removed(word: str, overrides: list[str]) -> None:
    assert hydra_words([word]) == overrides


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("model=null", "model=null: a run needs model; choose one of atss, "),
        ("~model", "~model: a run needs model; choose one of "),
        ("data=null", "data=null: a run needs data; choose one of folder, shapes"),
        ("~optimizer", "a run needs optimizer; choose one of adadelta, adagrad, adam"),
        ("trainer=null", "a run needs trainer; choose one of default"),
        ("~trainer.max_epochs", "~trainer.max_epochs: a value cannot be removed"),
        ("~seed", "set seed=VALUE"),
    ],
)
def test_required_parts_cannot_be_removed(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        hydra_words([word])


# pain 38
@pytest.mark.parametrize("word", ["~model.neck", "model/neck=null", "model.neck=null"])
def test_removed_part_is_not_replaced_by_the_default(word: str, composed: Callable) -> None:
    with pytest.raises(ConfigError, match=r"model\.neck: a neck is missing; choose one of"):
        composed(word)


def test_optional_part_is_left_out_of_a_page(composed: Callable, write: Callable) -> None:
    write("experiment/x", "# @package _global_\nmodel: {head: {quality_loss: toy_focal}}\n")
    for word in ("~model.head.quality_loss", "model/head/quality_loss=null"):
        assert composed("experiment=x", word)["model"]["head"]["quality_loss"] is None


def test_no_callbacks_and_no_logger() -> None:
    config = compose("train", ["logger=null", "callbacks={}", "callbacks.average=ema"])
    assert config["logger"] is None
    assert list(config["callbacks"]) == ["average"]
    config = compose("train", ["augmentation.train=null", "~callbacks.pictures"])
    assert config["augmentation"]["train"] == {}
    assert config["augmentation"]["evaluation"]
    assert "pictures" not in config["callbacks"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("callbacks.pictuers=null", "no such label to remove. Did you mean 'pictures'"),
        ("~callbacks.pictuers", "~callbacks.pictuers: there is no such key to remove"),
    ],
)
def test_misspelt_label_is_an_error(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose("train", [word])


def test_label_that_a_page_lacks_is_left_out_in_a_sweep() -> None:
    with_average, without = cells("train", prepare(["callbacks.average=ema,null"]))
    assert with_average.config is not None
    assert without.config is not None
    labels = {*with_average.config["callbacks"]} - {*without.config["callbacks"]}
    assert labels == {"average"}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("hydra.run.dir=X", "'hydra.run.dir' has no effect: set run_folder=X"),
        ("hydra.job.chdir=true", "has no effect on one run; it is for detkit sweep"),
        ("hydra/launcher=basic", "has no effect on one run"),
    ],
)
def test_setting_of_hydra_without_effect_is_refused(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose("train", [word])


def test_page_that_names_hydras_run_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "conf/experiment/x.yaml"
    page.parent.mkdir(parents=True)
    page.write_text("# @package _global_\nhydra: {run: {dir: there}}\n")
    with pytest.raises(ConfigError, match="has no effect: set run_folder=there"):
        compose("train", ["experiment=x"])


def test_sweep_gives_hydra_no_null_for_a_group() -> None:
    words = ["logger=null", "++model.neck=null", "experiment=null,demo"]
    assert without_nulls(words) == ["~logger", "++model.neck=null", "experiment=null,demo"]


def test_command_without_callbacks_has_none_to_leave_out() -> None:
    with pytest.raises(ConfigError, match="this command has no callbacks to remove"):
        compose("measure", ["data=folder", "data.path=x", "detections=y", "callbacks=null"])
