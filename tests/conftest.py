"""Fixtures that several packages' tests share."""

from __future__ import annotations

import gc
import logging
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_run import GUESSES, TINY

import detkit
from detkit.cli.main import main

BCCD = Path(__file__).parents[2] / "shared" / "data" / "bccd"


@pytest.fixture(scope="session")
def bccd() -> Path:
    """The folder of the BCCD photographs (Pascal VOC)."""
    if not BCCD.is_dir():
        pytest.skip(f"the BCCD photographs are not at {BCCD}")
    return BCCD


def pytest_configure() -> None:
    """Collect no garbage while tests are collected: nearly all objects made then stay."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Take what exists now out of later collections, which would go through all of PyTorch."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(5_000, 5, 5)  # OmegaConf makes many objects, and few are garbage


@pytest.fixture(scope="session", autouse=True)
def _hangup_is_not_ignored() -> None:
    """Undo `nohup` for the tests and the processes that they start."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _levels_as_before():
    """Undo what a trainer does to Lightning's log levels."""
    loggers = [logging.getLogger(n) for n in ("lightning.pytorch", "lightning.fabric", "lightning")]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        if logger.level != level:  # setting a level empties the caches of all loggers
            logger.setLevel(level)


@pytest.fixture(autouse=True)
def _messages_as_before(monkeypatch):
    """Reset detkit's logging after a command has run in this process."""
    logger = logging.getLogger("detkit")
    monkeypatch.setattr(logger, "handlers", [])
    before = logger.level
    if before != logging.NOTSET:
        logger.setLevel(logging.NOTSET)
    yield
    if logger.level != before:
        logger.setLevel(before)


ANALYSIS_PLOTS = ("errors", "precision_recall", "score_thresholds", "roc", "confusion", "sizes")


@pytest.fixture
def blank_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write an empty picture in place of each figure and of each validation picture.

    Drawing takes half of the time of a tiny run. The run of `trained` has real ones, and
    tests/visualization and tests/training draw each kind.
    """

    def save(*arguments: Any, **_: Any) -> Path:
        picture = next(a for a in reversed(arguments) if isinstance(a, Path))
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(picture)
        return picture

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", save)
    for name in ANALYSIS_PLOTS:
        monkeypatch.setattr(f"detkit.visualization.analysis_pictures.plot_{name}", save)
    monkeypatch.setattr(
        "detkit.training.callbacks.pictures.side_by_side",
        lambda *_, **__: Image.new("RGB", (8, 8)),
    )


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> detkit.Run:
    """A run of two epochs that `detkit.train` wrote into `first` of a new working directory."""
    folder = tmp_path_factory.mktemp("work")
    before = Path.cwd()
    os.chdir(folder)
    try:
        detkit.train([*TINY, "run_folder=first"])
        return detkit.Run(folder / "first")
    finally:
        os.chdir(before)


@pytest.fixture(scope="session")
def trained(tiny_run: detkit.Run) -> Path:
    """A working directory with one finished run in `first`."""
    return tiny_run.folder.parent


@pytest.fixture(scope="session")
def exported(trained: Path) -> Path:
    """The run of `trained` as tiny.onnx beside it, with its certificate; keeps its 20 best guesses.

    An export with its certificate takes twenty seconds: slow tests share this one.
    """
    before = Path.cwd()
    os.chdir(trained)
    try:
        assert main(["export", "first", "output=tiny.onnx", *GUESSES]) == 0
        return trained / "tiny.onnx"
    finally:
        os.chdir(before)


@pytest.fixture
def work(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    return trained


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a.png (120 x 90), b.png (96 x 96) and c.png (120 x 90) of random colours."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for name, (width, height) in {"a": (120, 90), "b": (96, 96), "c": (120, 90)}.items():
        blocks = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        picture = Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST)
        picture.save(folder / f"{name}.png")
    return folder
