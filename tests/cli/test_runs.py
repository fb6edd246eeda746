"""Train, resume, evaluate, predict and config from the command line, on a few tiny pictures."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from tiny_run import TINY

from detkit.cli.main import main
from detkit.runs.metrics_logger import read_metrics
from detkit.runs.score_threshold import default_threshold
from detkit.runs.training_lock import training_lock

pytestmark = pytest.mark.usefixtures("blank_figures")


def test_run_folder_holds_what_a_person_and_a_program_need(work: Path) -> None:
    run = work / "first"
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert {
        *("config.yaml", "environment.json", "metrics.csv", "metrics.json", "train.log"),
        *("curves.png", "report.html", "checkpoints/best.ckpt", "checkpoints/last.ckpt"),
    } <= names
    assert sum(name.startswith("pictures/") for name in names) >= 4
    assert set(json.loads((run / "metrics.json").read_text())) >= {"AP", "AP50", "AR100"}


def test_checkpoint_holds_plain_values_only(work: Path) -> None:  # pain 19
    content = torch.load(work / "first/checkpoints/last.ckpt", weights_only=True)
    record = content["detkit"]
    assert record["class_names"][0] == "circle"
    assert record["config"]["model"]["head"]["assigner"]["name"] == "fcos"
    assert json.loads(json.dumps(record)) == record


def test_evaluate_repeats_the_numbers_of_the_run(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "ckpt=first", "output=numbers"]) == 0
    assert "AP50" in capsys.readouterr().out
    measured = json.loads((work / "numbers/metrics.json").read_text())
    assert measured == json.loads((work / "first/metrics.json").read_text())


def test_evaluate_takes_other_data_and_other_settings(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["ckpt=first", "split=train", "model.head.postprocess.score_threshold=0.9"]
    assert main(["evaluate", *words]) == 0
    assert "0.000" in capsys.readouterr().out


def test_predict_prints_the_threshold_that_the_run_measured(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = work / "one.png"
    Image.new("RGB", (120, 90), (90, 120, 60)).save(photo)
    value, origin = default_threshold(work / "first/checkpoints/best.ckpt")
    assert main(["predict", "ckpt=first", "source=one.png", "output=one_box"]) == 0
    assert f"score_threshold={value:.2f}: {origin}" in capsys.readouterr().err


def test_predict_skips_a_broken_image(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = work / "photos"
    photos.mkdir(exist_ok=True)
    Image.new("RGB", (120, 90), (90, 120, 60)).save(photos / "a photo.png")
    (photos / "broken.jpg").write_bytes(b"no image")
    assert (
        main(["predict", "ckpt=first", "source=photos", "output=boxes", "score_threshold=0"]) == 0
    )
    captured = capsys.readouterr()
    assert "broken.jpg" in captured.err
    assert "1 skipped" in captured.out
    rows = json.loads((work / "boxes/detections.json").read_text())
    assert rows
    assert {row["file_name"] for row in rows} == {"photos/a photo.png"}
    assert [path.name for path in (work / "boxes").glob("*.png")] == ["a photo.png"]
    for x, y, width, height in (row["bbox"] for row in rows):
        assert min(x, y) >= 0
        assert x + width <= 120.001
        assert y + height <= 90.001


def test_predict_refuses_to_write_over_its_inputs(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "mine").mkdir(exist_ok=True)
    Image.new("RGB", (64, 64)).save(work / "mine/a.png")
    assert main(["predict", "ckpt=first", "source=mine", "output=mine"]) == 2
    assert "choose another folder" in capsys.readouterr().err


def test_predict_escapes_control_characters_in_the_names_of_its_pictures(
    work: Path, tmp_path: Path
) -> None:
    for name in ("a\nb.png", "a\x1b[31mb.png", "a%0Ab.png", "Grün 5%.png"):
        Image.new("RGB", (64, 64)).save(tmp_path / name)
    assert main(["predict", "ckpt=first", f"source={tmp_path}", "output=escaped"]) == 0
    names = {path.name for path in (work / "escaped").glob("*.png")}
    assert names == {"a%0Ab.png", "a%1B[31mb.png", "a%0Ab-2.png", "Grün 5%.png"}


def test_finished_run_trains_for_longer(work: Path) -> None:
    shutil.copytree(work / "first", work / "longer")
    assert main(["train", "ckpt=longer", "trainer.max_epochs=3"]) == 0
    rows = list(csv.DictReader((work / "longer/metrics.csv").open()))
    steps = [int(row["step"]) for row in rows if row.get("loss")]
    assert steps == sorted(set(steps)) == list(range(6))


def test_second_run_does_not_overwrite_the_first(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (work / "first/config.yaml").read_text()
    assert main(["train", *TINY, "run_folder=first"]) == 2
    assert "another run is there" in capsys.readouterr().err
    assert (work / "first/config.yaml").read_text() == before


def test_config_shows_and_checks_without_data(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["model=retinanet", "data=folder", "data.path=nowhere", "image_size=256"]
    assert main(["config", *words, "num_classes=3"]) == 0
    shown = capsys.readouterr().out
    assert "out_channels: 256" in shown
    # (32² + 16² + 8² + 4² + 2²) cells with 9 anchors each
    assert "12,276 priors" in shown
    assert "256 channels at stride 128" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "model.nek.x=1"], r"model.nek: unknown key. Did you mean 'neck'"),
        (["train", "model.head.layers.num_classes=4"], "num_classes: is set by detkit"),
        (["train", "model=fcoss"], "Did you mean 'fcos'"),
        (["train", "data=folder"], r"data.path: a value is missing"),
        (["train", "data=folder", "data.path=nowhere"], "nowhere"),
        (["train", "model.backbone.levels=[5]"], "model.neck: neck 'fpn' needs"),
        (["train", "+model.neck._target_=os.system"], "is refused"),
        (["train", "ckpt=nowhere"], "ckpt=nowhere: there is no such file or folder"),
        (["evaluate"], "needs a checkpoint"),
        (["predict", "ckpt=first"], "source: a value is missing"),
        (["predict", "ckpt=first", "source=nothing/*.jpg"], "source=nothing"),
        (["predict", "ckpt=first", "source=first", "scor_threshold=1"], "score_threshold"),
        (["evaluate", "ckpt=first/config.yaml"], "config.yaml: "),
        (
            ["config", "image_size=big"],
            "image_size: expected int > 0 or [int > 0, int > 0]",
        ),
    ],
)
def test_wrong_words_give_one_screen_and_exit_code_2(
    work: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    listed = sorted(work.iterdir())
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert sorted(work.iterdir()) == listed  # nothing is left behind


def test_data_set_without_any_object_is_refused(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = work / "empty"
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images = []
    for number in range(4):
        Image.new("RGB", (64, 64)).save(folder / f"images/{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": 64, "width": 64})
    content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "a"}]}
    (folder / "train.json").write_text(json.dumps(content))
    words = ["data=folder", "data.path=empty", "data.validation_split=null", "run_folder=no"]
    assert main(["train", *TINY[:5], *words]) == 2
    assert "has an object" in capsys.readouterr().err


@pytest.mark.slow
def test_multirun_runs_each_job_in_its_own_process(work: Path) -> None:
    words = ["hydra/launcher=basic", "hydra.sweep.dir=basic", "hydra.sweep.subdir=${hydra.job.num}"]
    assert main(["train", "-m", "seed=1", *TINY, *words, "trainer.max_epochs=1"]) == 0
    finished = sorted(path.parent.name for path in (work / "basic").glob("*/metrics.json"))
    assert finished == ["0"]


@pytest.mark.slow
def test_interrupted_run_resumes(work: Path) -> None:
    words = [*TINY, "trainer.max_epochs=500", "run_folder=killed", "callbacks.pictures=null"]
    command = [sys.executable, "-m", "detkit.cli.main", "train", *words]
    with subprocess.Popen(command, cwd=work, stderr=subprocess.DEVNULL) as process:
        last = work / "killed/checkpoints/last.ckpt"
        deadline = time.monotonic() + 120
        while not last.is_file() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    epochs = torch.load(last, weights_only=True)["epoch"] + 2
    assert main(["train", "ckpt=killed", f"trainer.max_epochs={epochs}"]) == 0
    rows = list(csv.DictReader((work / "killed/metrics.csv").open()))
    steps = [int(row["step"]) for row in rows if row.get("loss")]
    assert steps == list(range(2 * epochs))


@pytest.fixture
def unsaved(work: Path) -> Iterator[Path]:
    """A run of one epoch, as a kill before its first checkpoint leaves it."""
    run = work / "unsaved"
    shutil.copytree(work / "first", run, ignore=shutil.ignore_patterns("*.ckpt", "metrics.json"))
    config = yaml.safe_load((run / "config.yaml").read_text())
    config.update(run_folder=str(run), ckpt=None)
    config["trainer"]["max_epochs"] = 1
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (run / "checkpoints" / "last.part").write_bytes(b"half")
    yield run
    shutil.rmtree(run)


def test_run_without_a_checkpoint_begins_again(
    unsaved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "ckpt=unsaved"]) == 2
    assert "begins again with detkit train ckpt=unsaved" in capsys.readouterr().err
    assert main(["train", "ckpt=unsaved", "trainer.gradient_clip_norm=10"]) == 0
    said = capsys.readouterr().err
    assert "unsaved: ended before its first checkpoint; it begins again from its config.y" in said
    assert "changed: trainer.gradient_clip_norm: null -> 10" in said
    assert [int(row["step"]) for row in read_metrics(unsaved / "metrics.csv")] == [0, 1, 1]
    assert json.loads((unsaved / "environment.json").read_text())["resumed"] == []
    assert sorted(p.name for p in (unsaved / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_run_of_a_living_process_does_not_begin_again(
    unsaved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in unsaved.iterdir() if path.is_file()}
    with training_lock(unsaved):
        assert main(["train", "ckpt=unsaved"]) == 2
    assert "is training in it" in capsys.readouterr().err
    assert all(path.read_bytes() == content for path, content in before.items())


def test_run_that_cannot_begin_again_keeps_its_configuration(
    unsaved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("metrics.csv", "checkpoints/last.part"):
        (unsaved / name).unlink()
    (unsaved / "checkpoints").rmdir()
    assert main(["train", "ckpt=unsaved", "data=folder", "data.path=nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert (unsaved / "config.yaml").is_file()


def test_finished_run_without_checkpoints_does_not_start_again(
    unsaved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (unsaved / "metrics.json").write_text("{}")
    assert main(["train", "ckpt=unsaved"]) == 2
    assert "holds no checkpoints/best.ckpt or last.ckpt" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["thesis.tex", "config.yaml"])
def test_folder_of_other_files_is_no_run_folder(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).write_text("mine: 1\n")
    assert main(["train", *TINY, f"run_folder={tmp_path}"]) == 2
    assert f"run_folder={tmp_path}: contains '{name}' but no run" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]
