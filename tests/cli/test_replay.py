"""The command line repeats a failed step from its file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_run import TINY

from detkit.cli.main import main

pytestmark = pytest.mark.usefixtures("blank_figures")

SPOILT = [*TINY, "optimizer.learning_rate=1000", "trainer.max_epochs=8", "callbacks.average=null"]


@pytest.fixture(scope="module")
def stopped(trained: Path) -> Path:
    """A run that ended because its learning rate was far too high."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained)
        assert main(["train", *SPOILT, "run_folder=spoilt"]) == 2
    return trained / "spoilt"


@pytest.fixture
def step(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(stopped.parent)
    (found,) = (stopped / "non_finite").iterdir()
    return found


# pain 13
def test_step_repeats_from_its_file_alone(
    step: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = tmp_path / "elsewhere" / "step.pt"
    alone.parent.mkdir()
    alone.write_bytes(step.read_bytes())
    monkeypatch.chdir(alone.parent)
    assert main(["replay", "step.pt", "output=pictures"]) == 1
    shown = capsys.readouterr().out
    for text in ("loss/classification", "the same", "GroupNorm", "finite, to", "sizes"):
        assert text in shown
    assert "the first module whose output is not finite: " in shown
    pictures = sorted(Path("pictures").iterdir())
    assert len(pictures) == 4
    assert {Image.open(path).size for path in pictures} == {(480, 480)}  # enlarged for the text


@pytest.mark.slow
def test_remedy_is_tried_with_overrides_as_in_evaluate(
    step: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    healthy = torch.load(step, weights_only=True)
    for value in healthy["state_dict"].values():
        if value.is_floating_point():
            value.clamp_(-1, 1)
    torch.save(healthy, tmp_path / "healthy.pt")
    words = ["replay", str(tmp_path / "healthy.pt"), "trainer.precision=bf16"]
    assert main([*words, "model/head/box_loss=iou"]) == 0
    assert "repeated with bf16-mixed on cpu" in capsys.readouterr().out
    words = [*words[:2], "model/head/box_loss=iou"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "the output of each module is finite" in shown
    assert "the step has finite losses and gradients" in shown
    assert main([*words, "model.head.nonsense=1"]) == 2
    assert "model.head.nonsense: unknown key" in capsys.readouterr().err


def test_odd_boxes_are_listed(
    step: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(step, weights_only=True)
    boxes = content["step"]["batch"]["targets"][0]["boxes"]
    boxes[0] = torch.tensor([5.0, 5.0, 5.0, 20.0])
    boxes[1, 2] = 1e6
    torch.save(content, tmp_path / "odd.pt")
    main(["replay", str(tmp_path / "odd.pt")])
    shown = capsys.readouterr().out
    assert "2 objects look odd" in shown
    assert "[5, 5, 5, 20]: without area" in shown
    assert "reaches outside the image of 96 x 96" in shown


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ([], "needs a saved step first"),
        (["nowhere.pt"], "there is no saved step"),
        (["text.pt"], "is not a checkpoint but a text file"),
        (["first/checkpoints/last.ckpt"], "is a checkpoint, not a saved step"),
        (["lacking.pt"], "a step in an unknown format"),
        (["cut.pt"], "damaged or cut short"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_file_is_one_line(
    word: list[str], message: str, step: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(step, weights_only=True)
    del content["step"]["precision"]
    torch.save(content, "lacking.pt")
    Path("text.pt").write_text("no step")
    Path("cut.pt").write_bytes(step.read_bytes()[:5000])
    assert main(["replay", *word]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
