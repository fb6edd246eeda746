"""`detkit list` and `detkit describe` on parts of a plugin with known texts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from detkit import registry
from detkit.cli.main import main

PLUGIN = '''
from typing import Annotated, Literal

from detkit import Slot, Wired, register
from detkit.registry import PositiveInt


@register("head", "toy_head")
class ToyHead:
    """Guess, for tests.

    As the paper does, but
    faster.

    Paper: Guessing (Nobody, 2020), https://example.org

    Args:
        depth: How many layers.
        mode: How to guess.
        ranges: Where.
        box_loss: What a wrong box costs.
        quality_loss: What a wrong guess costs.
        scale: No default.
    """

    def __init__(
        self,
        *,
        num_classes: Wired[int],
        depth: PositiveInt = 4,
        mode: Literal["wild", "mild"] = "wild",
        ranges: tuple[float, ...] = (0.5, float("inf")),
        box_loss: Annotated[object, Slot("loss", "toy_loss", {"weight": 2.0}, space=("boxes",))],
        quality_loss: Annotated[object | None, Slot("loss")],
        scale: float,
    ) -> None: ...


@register("loss", "toy_loss")
def toy_loss(*, weight: float = 1.0) -> object:
    """A loss of nothing."""


@register("neck", "toy_loss")
class Neck:
    """Not a loss."""
'''


@pytest.fixture(autouse=True)
def plugin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(registry, "_parts", {})
    monkeypatch.setattr(registry, "_builtin_parts", dict)
    monkeypatch.setattr(registry, "plugin_failures", {})
    monkeypatch.setattr(registry, "_loaded_plugins", {})
    monkeypatch.delitem(sys.modules, "detkit_plugin_toy", raising=False)
    monkeypatch.setenv("DETKIT_DISABLE_ENTRYPOINTS", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "toy.py").write_text(PLUGIN)


def test_list_shows_families_with_parts(capsys):
    assert main(["list"]) == 0
    assert capsys.readouterr().out.partition("\n\nneck:")[2] == (
        " feature levels to feature levels\n"
        "  toy_loss  Not a loss. (file toy.py)\n\n"
        "head: feature levels to losses and detections\n"
        "  toy_head  Guess, for tests. [Nobody, 2020] (file toy.py)\n\n"
        "loss: one value per prior from predictions and targets\n"
        "  toy_loss  A loss of nothing. (file toy.py)\n"
    )


def test_list_of_one_family(capsys):
    assert main(["list", "loss"]) == 0
    assert "toy_head" not in capsys.readouterr().out


def test_list_of_an_empty_family(capsys):
    assert main(["list", "logger"]) == 0
    assert "no part is registered" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("models", "  fcos "),
        ("model", "model: whole detectors, chosen with model=NAME"),
        ("detectors", "  retinanet "),
        ("experiments", "  demo                   A small FCOS on the embedded data set"),
        ("augmentations", "  mosaic "),
        ("data", "  folder  Your own images"),
        ("callbacks", "  average  The default callbacks"),
        ("sweeps", "  learning_rate "),
        ("debug", "  overfit  Trains and validates on the same eight images"),
        ("losses", "  toy_loss  A loss of nothing."),
        ("schedules", "scheduler: learning rate over time"),
        ("optimizers", "optimizer: parameter updates"),
        ("post-processors", "postprocess: candidate boxes to final detections"),
    ],
)
def test_everything_that_can_be_chosen_is_listed_in_singular_and_plural(word, line, capsys):
    assert main(["list", word]) == 0
    assert any(shown.startswith(line) for shown in capsys.readouterr().out.splitlines())


def test_list_shows_whole_detectors_and_experiments_first(capsys):
    main(["list"])
    shown = capsys.readouterr().out
    assert shown.startswith("model: whole detectors")
    assert shown.index("experiment: ") < shown.index("neck: feature levels")


def test_a_page_of_the_user_is_listed_with_its_file(tmp_path, capsys):
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "mine.yaml").write_text("# My own. More of it.\nname: x\n")
    main(["list", "models"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["mine", "My", "own.", "(conf)"] in lines


def test_names_of_pages_for_scripts(capsys):
    main(["list", "debug", "--names"])
    assert capsys.readouterr().out == "debug overfit\ndebug quick\n"


def test_names_for_scripts(capsys):
    main(["list", "--names"])
    assert capsys.readouterr().out == "neck toy_loss\nhead toy_head\nloss toy_loss\n"


def test_lines_are_cut_to_the_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "24")
    main(["list", "loss"])
    assert capsys.readouterr().out.splitlines()[1] == "  toy_loss  A loss of..."


def test_papers_stay_where_lines_are_cut(monkeypatch, capsys):
    long = PLUGIN.replace("Guess, for tests.", f"Guess{', and guess again' * 9}.")
    Path("plugins/toy.py").write_text(long)
    monkeypatch.setenv("COLUMNS", "80")
    main(["list", "head"])
    line = capsys.readouterr().out.splitlines()[1]
    assert len(line) <= 80
    assert line.endswith("... [Nobody, 2020] (file toy.py)")


def test_broken_plugin_is_warned_of(tmp_path, capsys):
    (tmp_path / "plugins" / "broken.py").write_text("1 / 0\n")
    assert main(["list"]) == 0
    shown = capsys.readouterr()
    assert "broken.py' could not be loaded: ZeroDivisionError: division by zero" in shown.err
    assert "toy_head" in shown.out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["list", "los"],
            "there is no family or group of pages called 'los'. Did you mean 'loss'?",
        ),
        (["list", "--nmes"], "'detkit list' has no option '--nmes'; it has --names."),
        (["list", "neck", "head"], "takes one family, got neck head."),
        (["describe"], "takes [FAMILY] NAME, got ''."),
        (["describe", "a", "b", "c"], "takes [FAMILY] NAME, got 'a b c'."),
        (["describe", "toy_hed"], "no family has a part 'toy_hed'. Did you mean 'toy_head'?"),
        (["describe", "head", "toy_hed"], "there is no head 'toy_hed'. Did you mean 'toy_head'?"),
        (["describe", "head"], "'head' is a family: add the name of one of its parts (toy_head)."),
        (["describe", "haed", "toy_head"], "there is no family 'haed'"),
    ],
    ids=str,
)
def test_wrong_words_are_named(words, text, capsys):
    assert main(words) == 2
    assert text in capsys.readouterr().err


PAGE = """\
head 'toy_head'
  Guess, for tests.

  As the paper does, but faster.

  Paper: Guessing (Nobody, 2020), https://example.org
  File: plugins/toy.py (file toy.py)

arguments:
  depth   int > 0, default 4
          How many layers.
  mode    wild | mild, default wild
          How to guess.
  ranges  list of float, default [0.5, .inf]
          Where.
  scale   float, required
          No default.

slots, each takes another part:
  box_loss      loss (boxes), default toy_loss (weight: 2.0)
                What a wrong box costs.
  quality_loss  loss or null, default null
                What a wrong guess costs.

wired by detkit, never written in YAML:
  num_classes  int
"""


@pytest.mark.parametrize("words", [["toy_head"], ["head", "toy_head"], ["head/toy_head"]], ids=str)
def test_describe_shows_everything(words, capsys):
    assert main(["describe", *words]) == 0
    assert capsys.readouterr().out == PAGE


def test_describe_asks_which_family(capsys):
    assert main(["describe", "toy_loss"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  detkit describe neck toy_loss",
        "  detkit describe loss toy_loss",
    ]
