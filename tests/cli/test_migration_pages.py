"""The commands and settings of docs/from-*.md, for users of other frameworks, are valid."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from source_names import (
    save_as_detectron2_faster_rcnn,
    save_as_mmdet_retinanet,
    save_as_yolov8n,
)

from detkit.cli.main import COMMANDS, VERBS, main
from detkit.config import slots
from detkit.config.compose import compose
from detkit.config.signatures import arguments
from detkit.errors import UserError

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.name for path in (ROOT / "docs").glob("from-*.md"))
# What writes the weight file that a page's commands start from.
FILES = {
    "from-detectron2.md": ("model_final.pkl", save_as_detectron2_faster_rcnn),
    "from-mmdetection.md": ("retinanet.pth", save_as_mmdet_retinanet),
    "from-ultralytics.md": ("weights.pth", save_as_yolov8n),
}
SHORT = [
    *(
        "trainer.max_epochs=1",
        "trainer.limit_train_batches=1",
        "trainer.limit_validation_batches=1",
    ),
    *("data.batch_size=2", "data.workers=0", "image_size=64"),
]
SETTING = re.compile(r"[a-z_]+(?:[./][a-z0-9_]+)*=\S.*|[a-z_]+(?:\.[a-z0-9_]+)+")


@cache
def text(page: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """The commands in a page's plain blocks, without their explanations."""
    plain = "".join(block for language, block in FENCED.findall(text(page)) if not language)
    lines = [line for line in plain.replace("\\\n", " ").splitlines() if line.startswith("detkit ")]
    return [re.split(r" +#", line)[0] for line in lines]


def commands_in_sentences(page: str) -> list[str]:
    return re.findall(r"`(detkit [a-z]+ [^`]+)`", FENCED.sub("", text(page)).replace("\n", " "))


def model_of_file(page: str) -> str:
    """The model page that a page names for its weight file."""
    (name,) = set(re.findall(r"# model=(\w+), chosen", text(page)))
    return name


@cache
def trained(model: str) -> dict[str, Any]:
    return compose("train", [f"model={model}"])


def check(line: str, model: str) -> None:
    """Compose a command; `model` is what a checkpoint or a weight file on the page holds.

    Raises:
        UserError: It is wrong.
    """
    program, command, *words = shlex.split(line)
    assert (program, command in COMMANDS) == ("detkit", True), line
    if command in VERBS and command != "config":
        assert words[0] in VERBS[command], line
        return
    words = [word for word in words if "=" in word and not word.startswith("caffe=")]
    words = [re.sub("^as=", "model=", word) for word in words]
    words = [word.replace("model=checkpoint", f"model={model}") for word in words]
    if any(word.startswith("data.path=") for word in words):
        words.append("data=folder")  # as `data.path` alone chooses, by composing twice
    if command == "import":
        named = any(word.startswith("model=") for word in words)
        words += ["file=weights.pth", *([] if named else [f"model={model}"])]
    root = command if command in slots.ROOTS else "train"
    has_checkpoint = any(word.startswith("ckpt=") for word in words)
    root = "resume" if root == "train" and has_checkpoint else root
    compose(root, words, trained(model) if has_checkpoint else None)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_command_can_be_composed(page: str) -> None:
    lines = [*commands(page), *commands_in_sentences(page)]
    assert len(lines) >= 3
    words = [set(line.split()) for line in lines]
    for line in lines:
        if not any(set(line.split()) < others for others in words):  # else a longer one has all
            check(line, model_of_file(page))


@pytest.mark.parametrize(
    "line", ["detkit import a.pth clases=[a]", "detkit train model=yolov8", "detkit data chekc D"]
)
def test_a_wrong_command_is_noticed(line: str) -> None:
    with pytest.raises((UserError, AssertionError)):
        check(line, "yolov8n")


def write_yolo_folder(folder: Path) -> None:
    """Two training images and one for validation, with data.yaml."""
    for split, count in (("train", 2), ("val", 1)):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for number in range(count):
            image = Image.effect_noise((96, 80), 60).convert("RGB")
            image.save(folder / f"images/{split}/{split}{number}.png")
            (folder / f"labels/{split}/{split}{number}.txt").write_text("1 0.5 0.5 0.4 0.4\n")
    splits = "train: images/train\nval: images/val\n"
    names = "".join(f"  {number}: class {number}\n" for number in range(80))
    (folder / "data.yaml").write_text(f"path: .\n{splits}names:\n{names}")


@pytest.mark.slow
@pytest.mark.parametrize("page", FILES)
def test_the_commands_run_in_order(page: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_yolo_folder(tmp_path / "DATA")
    names = (tmp_path / "DATA/data.yaml").read_text()
    (tmp_path / "data.yaml").write_text(names)
    (tmp_path / "names.txt").write_text("\n".join(f"class {number}" for number in range(80)))
    file, save = FILES[page]
    save(tmp_path / file)
    for line in commands(page):
        _, *words = shlex.split(line)
        if words[0] == "import":
            Path(file).with_suffix(".ckpt").unlink(missing_ok=True)
        assert main([*words, *(SHORT if words[0] == "train" else [])]) == 0, line


def settings(page: str) -> Iterator[str]:
    """The settings in the last column of a page's tables.

    A name without dots that is no key of the root, as in "`model/neck=fpn`, `extra=none`", belongs
    to the same part as the setting before it.
    """
    for row in re.findall(r"^\|.*\|(.*)\|$", text(page), re.MULTILINE):
        part = ""
        for span in re.findall(r"`([^`]+)`", row):
            if not SETTING.fullmatch(span) or "..." in span:
                continue
            key = span.split()[-1].partition("=")[0]
            if part and re.fullmatch(r"\w+", key) and key not in arguments(slots.ROOTS["train"]):
                yield f"{part}.{span}"
                continue
            yield span
            part = key.replace("/", ".") if "/" in key else key.rpartition(".")[0]


def paths(config: Any, prefix: str = "") -> Iterator[str]:
    """The dotted paths of all values and parts of a configuration."""
    for key, value in config.items() if isinstance(config, dict) else ():
        yield prefix + key
        yield from paths(value, f"{prefix}{key}.")


@cache
def names(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(paths(compose("train", list(words))))


def is_valid(setting: str, words: tuple[str, ...]) -> bool:
    """Whether a setting, with or without its value, fits a configuration."""
    if "=" not in setting:
        return setting in names(words)
    if setting.startswith("model.") and setting.partition("=")[0] not in names(words):
        return False  # without the time to compose
    try:
        compose("train", [*words, *shlex.split(setting)])
    except UserError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_setting_in_the_tables_fits_a_model_of_the_page(page: str) -> None:
    models = [path.stem for path in (ROOT / "conf/model").glob("*.yaml")]
    models = sorted(name for name in models if re.search(rf"\b{name}\b", text(page)))
    others = ("callbacks=average", "data=folder", "data.path=DATA")
    pairs = [
        (f"model={name}", f"augmentation={a}") for a in ("mosaic", "standard") for name in models
    ]
    wrong = [
        setting
        for setting in settings(page)
        if not any(is_valid(setting, (*pair, *others)) for pair in pairs)
    ]
    assert wrong == []
