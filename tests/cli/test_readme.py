"""Every command in the README is composed, or run if it takes seconds."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from _pytest.mark import ParameterSet
from exported_files import write_onnx
from tiny_run import TINY
from torchvision.models import resnet18

from detkit import registry
from detkit.api.training_config import new_training
from detkit.cli.main import COMMANDS, main
from detkit.config.compose import compose
from detkit.sweeps.jobs.sweep_folder import SweepFolder

pytestmark = pytest.mark.usefixtures("blank_figures")

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = "conf/experiment/mine.yaml"


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for name, text in fenced if name == language]


def commands() -> list[str]:
    """Lines of the README's plain blocks, and what its sentences call a command."""
    lines = [line.split("   ")[0].strip() for block in blocks("") for line in block.splitlines()]
    inline = re.findall(r"`(detkit [a-z][^`]+)`", README.replace("\n", " "))
    found = [line for line in [*lines, *inline] if re.match("(detkit|make) ", line)]
    # test_integrations_page.py runs the upload with a server in place of the hub.
    return [line for line in dict.fromkeys(found) if " hub=" not in line]


def typed() -> list[str]:
    """First column of the table of what can be typed after `detkit train model=fcos`."""
    return re.findall(r"^\| `([^`]+)` \|", README.split("| you type |")[1].split("\n\n")[0], re.M)


def test_there_are_commands() -> None:
    assert len(commands()) >= 12
    assert len(typed()) >= 6


def prepare(work: Path) -> None:
    """Create the README's placeholders: runs, one with a failed step, data and weights."""
    for made in ("converted", "to_send"):
        shutil.rmtree(work / made, ignore_errors=True)
    if not (work / "RUN").exists():
        rendered = next((work / "datasets/shapes").glob("*/shapes.json")).parent
        shutil.copytree(rendered, work / "DATA")
        assert main(["train", *TINY, "optimizer.learning_rate=1e20", "run_folder=OTHER"]) == 2
        for name in ("RUN", "RUN_A", "RUN_B"):
            shutil.copytree(work / "first", work / name)
        shutil.copytree(work / "OTHER/non_finite", work / "RUN/non_finite")
        torch.save(resnet18().state_dict(), work / "WEIGHTS.pth")
        write_onnx(work / "MODEL.onnx")


def check_sweep(words: list[str]) -> None:
    """Queue a sweep without running it, or run a command on a finished one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("detkit.sweeps.jobs.run_jobs.run", lambda _, jobs, pool: None)
        if words[0] not in ("resume", "table"):
            assert main(["sweep", *words]) == 0
            return
        if not Path("SWEEP").exists():
            assert main(["sweep", *TINY, "seed=1,2", "hydra.sweep.dir=SWEEP"]) == 0
    for job in SweepFolder.open(Path("SWEEP")).load():
        job.state = "done"
        job.save()
    assert main(["sweep", *words]) == 0


@pytest.fixture
def own_neck(work: Path) -> Iterator[None]:
    """The plugin in the README's commands, removed after the test."""
    assert main(["plugin", "new", "neck", "my_neck"]) == 0
    yield
    for made in ("plugins", "my_loss"):
        shutil.rmtree(work / made, ignore_errors=True)
    registry._parts.pop(("neck", "my_neck"), None)
    registry._loaded_plugins.pop(str(work / "plugins/my_neck"), None)


@pytest.mark.parametrize("line", [line for line in commands() if "my_" in line])
def test_command_on_a_plugin_of_the_readme(line: str, work: Path, own_neck: None) -> None:
    _, *words = shlex.split(line)
    if words[:2] == ["plugin", "new"] and "--package" not in words:
        shutil.rmtree(work / "plugins")
    if words[0] == "train":
        assert compose("train", words[1:])["model"]["neck"]["name"] == "my_neck"
    else:
        assert main(words) == 0


def slow_if_tested_elsewhere(line: str) -> ParameterSet:
    """The commands with tests of their own that take more than a second here."""
    slow = line.split()[1] in (
        "assign",
        "benchmark",
        "compare",
        "describe",
        "export",
        "plan",
        "sweep",
    )
    slow = slow or line.startswith(("detkit data show", "detkit train ckpt=RUN"))
    return pytest.param(line, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize(
    "line", [slow_if_tested_elsewhere(line) for line in commands() if "my_" not in line]
)
def test_command_of_the_readme(line: str, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program, command, *words = shlex.split(line)
    if program == "make":
        done = subprocess.run(
            ["make", "-n", command, *words], cwd=ROOT, capture_output=True, check=False
        )
        assert done.returncode == 0
        return
    (work / "PHOTOS").mkdir(exist_ok=True)
    picture = next((work / "datasets/shapes").glob("*/val/*.jpg"))
    (work / "PHOTOS/photo.jpg").write_bytes(picture.read_bytes())
    prepare(work)
    if "ckpt=to_send" in words:
        assert main(["bundle", "RUN", "output=to_send"]) == 0
    assert command in COMMANDS
    if command == "replay":
        assert main([command, *words]) == 1  # the loss is not finite again
    elif (command, words[:1]) == ("config", ["diff"]):
        assert main([command, *words]) == 1  # they differ
    elif command == "import":
        assert main([command, *words, "model/backbone=resnet18", "new_classes=[a]"]) == 0
    elif command == "sweep":
        check_sweep(words)
    elif (command, words) == ("train", ["ckpt=RUN", "trainer.max_epochs=24"]):
        assert main([command, words[0], "trainer.max_epochs=3"]) == 0
    elif command == "assign":
        small = ["model/backbone=timm", "model.backbone.model=test_resnet", "image_size=96"]
        assert main([command, *words, *small]) == 0
    elif command in ("train", "benchmark") and "ckpt=RUN" not in words:
        assert new_training(words, root=command).config["model"]["name"]
    else:
        assert main([command, *words]) == 0


@pytest.mark.parametrize("words", typed())
@pytest.mark.slow
def test_overrides_in_the_table_are_valid(words: str, work: Path) -> None:
    overrides = [word for word in shlex.split(words) if word != "-m"]
    overrides = [word.split(",")[0] for word in overrides]
    assert compose("train", ["model=fcos", *overrides])["model"]["name"] in (
        "one_stage",
        "two_stage",
    )


def test_experiment_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (page,) = (block for block in blocks("yaml") if PAGE in block)
    file = tmp_path / PAGE
    file.parent.mkdir(parents=True)
    file.write_text(page)
    monkeypatch.chdir(tmp_path)
    config = compose("train", ["experiment=mine"])
    assert config["model"]["backbone"]["model"] == "convnext_tiny"
    assert config["model"]["head"]["assigner"]["name"] == "atss"
    assert config["model"]["head"]["box_loss"]["name"] == "diou"


def test_page_of_the_readme_is_the_page() -> None:
    page = (ROOT / "conf/model/fcos.yaml").read_text()
    assert any(block.strip() in page for block in blocks("yaml"))


def test_plugin_of_the_readme(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source,) = (block for block in blocks("python") if "register" in block)
    (work / "readme_plugin.py").write_text(source)
    words = ["plugins=[readme_plugin.py]", "model=fcos", "model/neck=thin"]
    assert main(["config", *words, "model.neck.out_channels=96"]) == 0
    assert "neck      thin: 96 channels at stride 8" in capsys.readouterr().out


def test_error_of_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    (shown,) = (block for block in blocks("") if block.startswith("$ detkit"))
    line, *expected = shown.strip().splitlines()
    assert main(shlex.split(line)[2:]) == 2
    assert capsys.readouterr().err.strip().splitlines() == expected
