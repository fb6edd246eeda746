"""`detkit import`, `detkit bundle` and `detkit train weights=` from the command line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny_run import TINY
from torchvision.models import resnet18

import detkit
from detkit.cli.main import main
from detkit.runs.checkpoint import find_checkpoint, read_checkpoint

pytestmark = pytest.mark.usefixtures("blank_figures")

SMALL = ["model/backbone=resnet18", "model.neck.out_channels=32", "model.head.layers.convs=1"]


@pytest.fixture
def bundle(work: Path) -> Path:
    """A bundle of the finished run."""
    if not (work / "first_bundle").exists():
        assert main(["bundle", "first"]) == 0
    return work / "first_bundle"


def detections(ckpt: object, output: str) -> str:
    words = [f"ckpt={ckpt}", "source=one.png", f"output={output}", "score_threshold=0"]
    assert main(["predict", *words]) == 0
    return Path(output, "detections.json").read_text()


def test_detections_of_bundle_and_run_are_bit_identical(bundle: Path, tmp_path: Path) -> None:
    Image.effect_noise((120, 90), 60).convert("RGB").save("one.png")
    first = detections("first", str(tmp_path / "a"))
    assert json.loads(first)
    assert detections("first_bundle", str(tmp_path / "b")) == first
    assert detections("first_bundle/weights.safetensors", str(tmp_path / "c")) == first
    run = read_checkpoint(find_checkpoint("first"))
    opened = read_checkpoint(find_checkpoint("first_bundle"))
    assert all(torch.equal(opened.weights[name], value) for name, value in run.weights.items())


def test_bundle_lists_its_content(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads((bundle / "bundle.json").read_text())
    about = json.loads(Path("first/environment.json").read_text())
    assert content["versions"] == about["versions"]
    assert content["class_names"][0] == "circle"
    assert "run_folder" not in (bundle / "config.yaml").read_text()
    assert main(["bundle", "first", "output=other_bundle"]) == 0
    assert "6 classes (circle, cross, ring, square, star, triangle)" in capsys.readouterr().out


def test_bundle_is_measured_as_its_run(bundle: Path, tmp_path: Path) -> None:
    assert main(["evaluate", "ckpt=first_bundle", f"output={tmp_path / 'numbers'}"]) == 0
    measured = json.loads((tmp_path / "numbers/metrics.json").read_text())
    assert measured["AP"] == json.loads(Path("first/metrics.json").read_text())["AP"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bundle"], "detkit bundle needs a run"),
        (["bundle", "nowhere"], "there is no such file or folder"),
        (["bundle", "first", "outptu=x"], "has no option 'outptu'. Did you mean 'output'"),
        (["bundle", "first", "output=first"], "first: exists already"),
        (["train", "ckpt=first_bundle"], "start a new training with weights=first_bundle"),
        (["import"], "detkit import needs a file"),
        (["import", "nowhere.pth"], "file=nowhere.pth: there is no such file"),
        (["import", "first", "output=first_bundle"], "output=first_bundle: exists already"),
        (["import", "first", "classes=[a]", "output=x.ckpt"], "holds its own class names"),
        (["import", "first", "new_classes=[a,a]", "output=x.ckpt"], "holds 'a' twice"),
        (["import", "first", "clases=[a]"], "Did you mean 'classes'"),
        (["import", "one.png"], "is not a checkpoint but a PNG image"),
        (["train", *TINY, "weights=one.png", "run_folder=no"], "is not a checkpoint but a PNG"),
        (["train", *TINY, "weights=nowhere", "run_folder=no"], "weights=nowhere: there is no such"),
    ],
)
def test_wrong_words_end_in_one_line(
    bundle: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    Image.new("RGB", (9, 9)).save("one.png")
    listed = sorted(bundle.parent.iterdir())
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert sorted(bundle.parent.iterdir()) == listed


def test_imported_detector_is_used_as_any_other(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.effect_noise((120, 90), 60).convert("RGB").save("one.png")
    words = ["new_classes=[star,circle]", "output=stars.ckpt"]
    assert main(["import", "first", *words]) == 0
    shown = capsys.readouterr().out
    assert "classes matched by name: 2 of 2" in shown
    assert "not used: cross, ring, square, triangle" in shown
    assert "train before you evaluate" not in shown
    assert {row["category_id"] for row in json.loads(detections("stars.ckpt", "found"))} <= {1, 2}
    assert main(["train", "ckpt=stars.ckpt"]) == 2
    assert "weights=stars.ckpt" in capsys.readouterr().err


def test_backbone_becomes_a_detector_of_new_classes(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = work / "it's a, [file]=.pth"
    torch.save(resnet18().state_dict(), file)
    assert main(["import", str(file), *SMALL]) == 2
    assert "new_classes=[...], or train from it" in capsys.readouterr().err
    assert main(["import", str(file), *SMALL, "new_classes=[cat]", "output=cat.ckpt"]) == 0
    assert "train before you evaluate" in capsys.readouterr().out
    record = read_checkpoint(work / "cat.ckpt").record
    assert record.class_names == ["cat"]
    assert record.source is not None
    assert record.source["file"] == file.name


def test_training_starts_from_the_weights_of_a_run(work: Path) -> None:
    words = ["run_folder=tuned", "weights=first", "trainer.max_epochs=1", "callbacks=default"]
    rate = ["optimizer.learning_rate=1e-20", "optimizer.weight_decay=0"]
    assert main(["train", *TINY, *words, *rate]) == 0
    before = read_checkpoint(find_checkpoint("first")).weights
    after = read_checkpoint(find_checkpoint("tuned")).weights
    for name, value in after.items():
        if name.endswith(("weight", "bias")):  # statistics of norms move without a step
            torch.testing.assert_close(value, before[name], rtol=0, atol=1e-12)
    log = Path("tuned/train.log").read_text()
    assert "classes matched by name: 6 of 6" in log


@pytest.fixture
def started(work: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Record the configurations of trainings instead of running them."""
    configs: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "detkit.cli.train.start", lambda config, **_: configs.append(config) or (None, 0)
    )
    return configs


@pytest.mark.parametrize("words", [[], ["model=checkpoint"]])
def test_model_of_the_weights_is_trained_where_no_word_names_another(
    started: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["train", "weights=first", "data.reader.image_size=96", *words]) == 0
    run = read_checkpoint(find_checkpoint("first")).config
    assert started[0]["model"] == run["model"]
    assert (started[0]["seed"], started[0]["callbacks"]) != (run["seed"], run["callbacks"])
    said = capsys.readouterr().err
    model = "one_stage: backbone timm, neck fpn, head towers with assigner fcos"
    assert (f"model: the one of first ({model}); no override names another" in said) == (not words)


def test_a_word_that_tunes_the_model_names_no_other(started: list[dict[str, Any]]) -> None:
    words = ["data.reader.image_size=96", "model.head.postprocess.iou_threshold=0.4"]
    assert main(["train", "weights=first", *words]) == 0
    model = read_checkpoint(find_checkpoint("first")).config["model"]
    assert model["head"]["postprocess"]["iou_threshold"] != 0.4
    model["head"]["postprocess"]["iou_threshold"] = 0.4
    assert started[0]["model"] == model


@pytest.mark.slow
def test_model_of_the_weights_can_be_tuned(started: list[dict[str, Any]]) -> None:
    assert main(["train", "weights=first", "model=checkpoint", "model.head.box_loss=diou"]) == 0
    assert started[0]["model"]["head"]["box_loss"]["name"] == "diou"
    assert started[0]["model"]["head"]["layers"]["convs"] == 1


@pytest.mark.parametrize(
    "words",
    [["model=retinanet"], pytest.param(["model.neck.out_channels=32"], marks=pytest.mark.slow)],
)
def test_weights_of_another_model_are_refused_before_data_are_read(
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
) -> None:
    monkeypatch.setattr("detkit.assembly.build_data", None)
    listed = sorted(work.iterdir())
    assert main(["train", "weights=first", *words, "run_folder=no"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "none of its" in said
    assert "tensors fits this detector" in said
    assert "weights=first model=checkpoint" in said
    assert "(one_stage: backbone timm, neck fpn, head towers with assigner fcos)" in said
    assert sorted(work.iterdir()) == listed


def test_weights_of_another_backbone_are_refused_before_data_are_read(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("detkit.assembly.build_data", None)
    torch.save({"stem.weight": torch.ones(3)}, work / "other.pth")
    assert main(["train", *TINY, "weights=other.pth", "run_folder=no"]) == 2
    assert "none of its 1 tensors fits this detector" in capsys.readouterr().err
    assert not Path("no").exists()


def test_checkpoint_alone_is_enough_in_another_folder(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.effect_noise((120, 90), 60).convert("RGB").save(tmp_path / "one.png")
    (tmp_path / "moved.ckpt").write_bytes((work / "first/checkpoints/best.ckpt").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert main(["predict", "source=one.png", "ckpt=moved.ckpt"]) == 0
    assert main(["evaluate", "output=numbers", "ckpt=moved.ckpt"]) == 0
    measured = json.loads((tmp_path / "numbers/metrics.json").read_text())
    assert measured["AP"] == json.loads((work / "first/metrics.json").read_text())["AP"]


def tampered(work: Path, name: str, **changes: object) -> str:
    """A copy of the run's checkpoint with a changed record."""
    content = torch.load(work / "first/checkpoints/best.ckpt", weights_only=True)
    content["detkit"].update(changes)
    torch.save(content, work / name)
    return name


@pytest.mark.parametrize("command", ["evaluate", "predict", "config", "train"])
# pain 19
def test_checkpoint_of_a_newer_detkit_is_refused_by_every_command(
    work: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    file = tampered(work, "newer.ckpt", format=2, version="3.0")
    assert main([command, f"ckpt={file}", *(["source=."] if command == "predict" else [])]) == 2
    assert "was written by detkit 3.0" in capsys.readouterr().err


# pain 19
def test_plugins_of_a_checkpoint_are_named_and_not_imported(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "stranger.py").write_text("raise SystemExit('imported')\n")
    content = torch.load(work / "first/checkpoints/best.ckpt", weights_only=True)
    config = content["detkit"]["config"]
    config["model"]["head"]["name"] = "strange"
    config["plugins"] = ["stranger.py"]
    file = tampered(work, "strange.ckpt", config=config, plugins=["stranger.py"])
    assert main(["predict", f"ckpt={file}", "source=."]) == 2
    error = capsys.readouterr().err
    assert "there is no head 'strange'" in error
    assert "plugins that are not loaded (stranger.py)" in error


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "layers",
            {"name": "towers", "convs": "many"},
            "model.head.layers.convs: expected int > 0",
        ),
        ("wider", 3, "model.head.wider: unknown key"),
        ("box_loss", {"name": "os.system"}, "there is no loss 'os.system'"),
        ("box_loss", 4, "model.head.box_loss: expected"),
        ("box_loss", {"name": "giou", "_target_": "os.system"}, "names code to run"),
    ],
)
# pain 19
def test_tampered_configuration_of_a_checkpoint_is_refused(
    work: Path, capsys: pytest.CaptureFixture[str], key: str, value: object, message: str
) -> None:
    content = torch.load(work / "first/checkpoints/best.ckpt", weights_only=True)
    config = content["detkit"]["config"]
    config["model"]["head"][key] = value
    assert main(["evaluate", f"ckpt={tampered(work, 'changed.ckpt', config=config)}"]) == 2
    assert message in capsys.readouterr().err


PLUGIN = '''
from detkit import register
from detkit.losses import L1Loss


@register("loss", "own_l1")
class OwnL1(L1Loss):
    """L1 of a plugin.

    Args:
        weight: Factor.
    """

    def __init__(self, *, weight: float = 1.0) -> None:
        super().__init__(weight=weight)
'''


def forged(work: Path, name: str, **values: object) -> str:
    """A copy of the run's checkpoint with other neck weights."""
    content = torch.load(work / "first/checkpoints/best.ckpt", weights_only=True)
    config = content["detkit"]["config"]
    config["model"]["neck"].update(values)
    return tampered(work, name, config=config)


@pytest.mark.parametrize("channels", [10**9, pytest.param(10**6, marks=pytest.mark.slow)])
@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_checkpoint_that_asks_for_more_than_it_holds_is_refused_in_one_line(
    work: Path, capsys: pytest.CaptureFixture[str], command: str, channels: int
) -> None:
    file = forged(work, "large.ckpt", out_channels=channels)
    Image.new("RGB", (64, 64)).save("one.png")
    words = ["source=one.png", "output=o"] if command == "predict" else []
    assert main([command, f"ckpt={file}", *words]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert re.search(r"large\.ckpt: its (weights do not fit|.* has a tensor too large)", said)


@pytest.mark.parametrize("channels", [10**9, 10**6])
def test_weights_that_ask_for_more_than_they_hold_are_refused_before_data_are_read(
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    channels: int,
) -> None:
    monkeypatch.setattr("detkit.assembly.build_data", None)
    file = forged(work, "large.ckpt", out_channels=channels)
    for words in ([f"weights={file}"], [f"weights={file}", "model=checkpoint"], [f"ckpt={file}"]):
        assert main(["train", *words, "run_folder=no"]) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert re.search(r"large\.ckpt: (its|a run is resumed in its folder)", said)
    assert not Path("no").exists()


@pytest.mark.slow
def test_run_with_a_plugin_resumes_where_the_words_name_it(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(PLUGIN)
    environment = {**os.environ, "PYTHONPATH": str(Path(detkit.__file__).parents[1])}

    def train(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "detkit.cli.main", "train", *words]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    words = ["run_folder=a", "plugins=[own.py]", "model.head.box_loss=own_l1"]
    first = train(*TINY, *words, "trainer.max_epochs=1")
    assert first.returncode == 0, first.stderr[-2000:]
    without = train("ckpt=a", "trainer.max_epochs=2")
    assert without.returncode == 2
    assert "not loaded (own.py)" in without.stderr
    again = train("ckpt=a", "trainer.max_epochs=2", "plugins=[own.py]")
    assert again.returncode == 0, again.stderr[-2000:]
