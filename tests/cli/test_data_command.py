"""`detkit data check` and `detkit data stats` as a user runs them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from detkit.cli.data_check import Options
from detkit.cli.data_words import options
from detkit.cli.main import main
from detkit.data.audit.evidence import Resizing
from detkit.errors import ConfigError

STANDARD = Path(__file__).parents[2] / "conf" / "augmentation" / "standard.yaml"


def scene(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC)


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    """A valid YOLO data set of four images, next to the working folder."""
    root = tmp_path / "data"
    for number, split in enumerate(("train", "train", "val", "val")):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
        scene(number).save(root / "images" / split / f"{number}.png")
        (root / "labels" / split / f"{number}.txt").write_text("0 .5 .5 .4 .4\n")
    (root / "data.yaml").write_text("names: [cat]\n")
    monkeypatch.chdir(tmp_path)
    return root


def test_check_of_sound_data(data, capsys):
    assert main(["data", "check", str(data)]) == 0
    shown = capsys.readouterr().out
    assert "nothing found: training on this data would not suffer." in shown
    found = json.loads(Path("data_check/audit.json").read_text())
    assert found["findings"] == []
    assert found["splits"]["train"] == {"images": 2, "boxes": 2}
    assert not Path("data_check/pictures").exists()


# pain 23
def test_check_of_a_faulty_data_set(data, capsys, caplog):
    (data / "images/train/0.png").write_text("no image")
    (data / "labels/val/2.txt").write_text("0 .5 .5 .4 .4\n0 .9 .5 .4 .4\n")
    assert main(["data", "check", str(data), "output=found", "pictures=2"]) == 1
    shown = capsys.readouterr().out
    assert "error     files that are not images" in shown
    assert "train images/train/0.png" in shown
    assert "training on this data would suffer." in shown
    assert json.loads(Path("found/audit.json").read_text())["training_would_be_hurt"] is True
    pictures = [file.name for file in Path("found/pictures").iterdir()]
    assert any("outside_of_their" in name for name in pictures)
    assert not caplog.records  # the table says it


def test_a_box_of_nan_is_named_and_has_no_picture(data, capsys):
    (data / "labels/val/2.txt").write_text("0 .5 .5 .4 .4\n0 nan .5 .4 .4\n")
    main(["data", "check", str(data)])
    assert "val images/val/2.png" in capsys.readouterr().out
    assert not list(Path("data_check").glob("pictures/*nan*"))


def test_pictures_of_an_earlier_check_are_replaced(data):
    label = data / "labels/val/2.txt"
    label.write_text("0 .9 .5 .4 .4\n")
    main(["data", "check", str(data)])
    assert list(Path("data_check/pictures").iterdir())
    label.write_text("0 .5 .5 .4 .4\n")
    main(["data", "check", str(data)])
    assert not list(Path("data_check/pictures").iterdir())


# pain 37
@pytest.mark.parametrize("verb", ["check", pytest.param("stats", marks=pytest.mark.slow)])
def test_the_report_of_another_data_set_is_not_replaced(data, verb, capsys):
    shutil.copytree(data, "other")
    assert main(["data", verb, "data"]) == 0
    (report,) = Path(f"data_{verb}").glob("*.json")
    before = report.read_bytes()
    for _ in range(2):  # the second time it replaces its own
        capsys.readouterr()
        assert main(["data", verb, "other"]) == 0
        shown = f"(not in data_{verb}, which holds the report of '{data}')"
        assert shown in capsys.readouterr().out
    assert report.read_bytes() == before
    folders = sorted(folder.name for folder in Path().glob(f"data_{verb}*"))
    assert folders == [f"data_{verb}", f"data_{verb}_other"]


def test_a_data_set_of_the_same_name_gets_a_folder_of_its_own(data):
    for place in ("a/set", "b/set", "c/set"):
        shutil.copytree(data, place)
        assert main(["data", "stats", place]) == 0
    owners = {json.loads(f.read_text())["path"] for f in Path().glob("data_stats*/*.json")}
    assert owners == {str(Path(place).absolute()) for place in ("a/set", "b/set", "c/set")}


@pytest.mark.slow
def test_the_same_data_set_written_otherwise_replaces_its_report(data):
    main(["data", "stats", "data"])
    main(["data", "stats", str(data), "splits=[val]"])
    (report,) = Path("data_stats").glob("*.json")
    assert list(json.loads(report.read_text())["splits"]) == ["val"]


def test_json_on_the_terminal_and_nothing_written(data, capsys):
    assert main(["data", "check", str(data), "json=true", "output=null", "splits=[val]"]) == 0
    assert list(json.loads(capsys.readouterr().out)["splits"]) == ["val"]
    assert not Path("data_check").exists()


def test_stats(data, capsys):
    assert main(["data", "stats", str(data), "short_side=24", "strides=[8,16]"]) == 0
    shown = capsys.readouterr().out
    assert "<8 pixels" in shown
    assert "      class_weights:\n        cat: 1.0" in shown
    numbers = json.loads(Path("data_stats/stats.json").read_text())
    assert numbers["splits"]["val"]["objects"] == 2
    assert numbers["resizing"]["short_side"] == 24
    assert Path("data_stats/stats.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "'detkit data' needs a verb. Write detkit data check"),
        (["chek", "x"], "there is no 'detkit data chek'. Did you mean 'check'?"),
        (["check"], "path: a value is missing"),
        (["check", "nowhere"], "there is no folder 'nowhere'"),
        (["check", "a", "b"], "path is given twice: 'a' and 'b'."),
        (["check", "data", "raeder=voc"], "raeder: unknown key. Did you mean 'reader'?"),
        (["check", "data", "reader=vok"], "there is no reader 'vok'. Did you mean 'voc'?"),
        (["check", "data", "strides=8"], "strides: expected list of int > 0"),
        (["check", "data", "strides=[8"], "strides=[8: the value is no YAML"),
        (["check", "data", "splits=[tset]"], "has no split 'tset'"),
        (["check", "data", "output=data/found"], "is inside the data folder"),
        (["stats", "data", "reader=yolo", "reader.class_names=3"], "reader.class_names: expected"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_words_say_what_to_change(data, words, message, capsys):
    assert main(["data", *words]) == 2
    assert message in capsys.readouterr().err


def test_settings_of_a_reader_in_any_order():
    for words in (["reader=coco", "reader.images=p"], ["reader.images=p", "reader=coco"]):
        node = options(Options, ["data", *words])["reader"]
        assert node == {"name": "coco", "annotations": None, "images": "p"}
    assert options(Options, ["2024", "output=null"])["path"] == "2024"


def test_a_setting_of_another_reader_is_refused():
    with pytest.raises(ConfigError, match=r"reader\.images: unknown key\. It is an argument of"):
        options(Options, ["data", "reader=yolo", "reader.images=p"])


def test_the_output_must_be_writable(data, capsys):
    Path("taken").write_text("a file")
    assert main(["data", "check", str(data), "output=taken"]) == 2
    assert "output=taken cannot be written" in capsys.readouterr().err


def test_the_resizing_is_that_of_the_standard_augmentation():
    resize = yaml.safe_load(STANDARD.read_text())["evaluation"]["resize"]
    chosen, usual = options(Options, ["data"]), Resizing()
    for key in ("short_side", "long_side", "enlarge"):
        assert resize[key] == chosen[key] == getattr(usual, key)


@pytest.mark.parametrize("words", [["--help"], ["check", "--help"], ["stats", "-h"]], ids=str)
def test_help(words, capsys):
    assert main(["data", *words]) == 0
    verb = "check|convert|stats|anchors|show|propose" if len(words) == 1 else words[0]
    assert capsys.readouterr().out.startswith(f"usage: detkit data {verb} PATH")
