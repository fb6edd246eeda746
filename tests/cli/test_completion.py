"""Completion of the command line: what is answered here, and what Hydra is asked."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from detkit import registry
from detkit.cli.completion import complete
from detkit.config.completion.static_schema import part_files
from detkit.errors import UserError

COMMANDS = ["train", "evaluate", "list", "describe"]
VERBS = {"plugin": ("new", "check")}
VERBS_OF = {"config": ("explain",), "data": ("show",), "tune": ("learning_rate",)}
QUERY = ["-sc", "query=bash"]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch):
    return lambda line: monkeypatch.setenv("COMP_LINE", line)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("detkit ", COMMANDS),
        ("detkit tr", ["train"]),
        ("detkit  de", ["describe"]),
        ("detkit list tran", ["transform"]),
        ("detkit describe box_c", ["box_coder"]),
        ("detkit describe scheduler mult", ["multi_step"]),
        ("detkit list neck x", []),
        ("detkit plugin ", ["new", "check"]),
        ("detkit plugin new tran", ["transform"]),
        ("detkit plugin new loss x", []),
        ("detkit plugin check neck", ["neck/own_neck"]),
        ("detkit describe neck own", ["own_neck"]),
    ],
)
def test_answered_without_hydra(line, answer, typed, capsys, monkeypatch):
    def load_plugins() -> None:
        part = registry.part("neck", "fpn")
        own = replace(part, name="own_neck", origin="file own.py", plugin="own.py")
        monkeypatch.setitem(registry._parts, ("neck", "own_neck"), own)

    loaded = {key: part for key, part in registry._parts.items() if part.plugin is None}
    monkeypatch.setattr(registry, "_parts", loaded)
    monkeypatch.setattr(registry, "load_plugins", load_plugins)
    typed(line)
    complete(QUERY, COMMANDS, VERBS)
    assert capsys.readouterr().out.split() == answer


@pytest.fixture
def answers(typed, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/one").mkdir(parents=True)
    (tmp_path / "best.ckpt").write_text("")

    def ask(line: str) -> list[str]:
        typed(line)
        complete(QUERY, COMMANDS, VERBS_OF)
        return capsys.readouterr().out.split()

    return ask


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("train model.head.box_loss=gi", ["model.head.box_loss=giou"]),
        ("train model/head/box_loss=gi", ["model/head/box_loss=giou"]),
        ("train model.head.box_loss=gh", ["model.head.box_loss=ghm_r"]),  # not ghm_c
        ("train model=retina", ["model=retinanet"]),
        ("train experiment=small", ["experiment=small_data"]),
        ("train data=", ["data=folder", "data=shapes"]),
        ("train callbacks=", ["callbacks=average", "callbacks=default"]),
        ("train optimizer=adamw", ["optimizer=adamw"]),
        ("train trainer.compile=", ["trainer.compile=true", "trainer.compile=false"]),
        ("train trainer.precision=b", ["trainer.precision=bf16"]),
        ("train model=fcos model.head.layers.norm=g", ["model.head.layers.norm=group"]),
        ("train ckpt=", ["ckpt=best.ckpt", "ckpt=runs/", "ckpt=null"]),
        ("train ckpt=runs/", ["ckpt=runs/one/"]),
        ("train data.path=", ["data.path=runs/"]),
        ("train --model=fco", ["--model=fcos"]),
        ("sweep model/neck=fpn,pa", ["model/neck=fpn,pan"]),
        ("export runs/one format=t", ["format=torch_export", "format=triton"]),
        ("predict format=pi", ["format=pictures"]),
        ("export runs/one precision=i", ["precision=int8"]),
    ],
)
def test_values_are_completed(line, answer, answers):
    assert answers(f"detkit {line}") == answer


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("train model.head.box_l", ["model.head.box_loss=", "model.head.box_loss."]),
        ("train model/ne", ["model/neck=", "model/neck/"]),
        ("train image", ["image_size="]),
        ("train sett", ["settings="]),
        ("train model.neck=pan model.neck.min", ["model.neck.min_levels="]),
        ("train model=fcos model.head.assigner.cent", ["model.head.assigner.centre_radius="]),
        ("train callbacks.pictures.sc", ["callbacks.pictures.score_threshold="]),
        ("train augmentation=mosaic augmentation.close", ["augmentation.close_mosaic="]),
        ("train augmentation.train.resize.en", ["augmentation.train.resize.enlarge="]),
        ("train experiment=demo model.backbone.mod", ["model.backbone.model="]),
        ("predict score", ["score_threshold="]),
        ("export runs/one calib", ["calibration=", "calibration_images="]),
        ("data show epo", ["epoch="]),
        ("tune learning_rate lo", ["lowest=", "logger=", "logger.", "logger/"]),
        ("config explain model.ne", ["model.neck", "model.neck."]),
        ("nothing x", []),
    ],
)
def test_keys_are_completed(line, answer, answers):
    assert answers(f"detkit {line}") == answer


def test_nothing_that_cannot_be_typed_is_offered(answers):
    words = answers("detkit train model.")
    assert words
    assert all(re.fullmatch(r"model\.\w+[=.]", word) for word in words)


def test_a_runs_parts_are_those_of_its_checkpoint(answers):
    Path("runs/one/config.yaml").write_text("model: {name: one_stage, neck: {name: pan}}")
    assert answers("detkit evaluate ckpt=runs/one model.neck.min") == ["model.neck.min_levels="]


def test_parts_and_pages_of_a_plugin_are_offered_without_importing_it(answers):
    Path("plugins/own/conf/experiment").mkdir(parents=True)
    Path("plugins/own/conf/experiment/own_page.yaml").write_text("")
    text = (
        '@register("neck", "own_neck")\nclass Own:\n    def __init__(self, *, own_size: int): ...\n'
    )
    Path("plugins/own/__init__.py").write_text(f"raise SystemExit\n{text}")
    part_files.cache_clear()
    assert answers("detkit train model.neck=own") == ["model.neck=own_neck"]
    assert answers("detkit train experiment=own") == ["experiment=own_page"]
    part_files.cache_clear()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_installing_prints_the_function_of_a_shell(shell, capsys):
    complete(["-sc", f"install={shell}"], COMMANDS)
    assert f"-sc query={shell}" in capsys.readouterr().out


def test_other_words_than_these_are_one_error():
    with pytest.raises(UserError, match=r"takes install=SHELL, where SHELL is bash, fish or zsh"):
        complete(["-sc", "uninstall=bash"], COMMANDS)
