"""`detkit describe` of a network: the table, files, pictures, errors."""

from __future__ import annotations

import csv
import json

import pytest
from PIL import Image
from tiny_run import TINY

from detkit.assembly import Classes
from detkit.cli.main import main
from detkit.config.compose import compose
from detkit.sweeps.estimates.data_facts import DataFacts
from detkit.sweeps.estimates.network_counts import count_network

MODEL = [word for word in TINY if word.startswith("model")]
SMALL = ["image_size=96", "num_classes=3"]


def test_the_table_shows_layers_down_to_a_depth(capsys):
    assert main(["describe", *MODEL, *SMALL, "depth=1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("detector 'one_stage', layer by layer, for an image of 96 x 96")
    assert [line.split()[0] for line in lines[1:]] == [
        *("layer", "backbone", "neck", "head", "total")
    ]


@pytest.mark.slow
def test_the_totals_are_those_of_the_plan(tmp_path):
    file = tmp_path / "layers.json"
    assert main(["describe", *MODEL, *SMALL, f"output={file}"]) == 0
    content = json.loads(file.read_text())
    model = compose("train", MODEL)["model"]
    facts = DataFacts(Classes.placeholders(3), 8, 4, (96, 96), (96, 96))
    counts = count_network(model, facts, (4, "32"))
    assert content["operations"] == counts.operations
    detector = counts.network.detector
    assert content["parameters"] == sum(p.numel() for p in detector.parameters())
    tops = [layer for layer in content["layers"] if "." not in layer["layer"]]
    for column in ("parameters", "operations", "connections"):
        assert sum(layer[column] for layer in tops) == content[column]


@pytest.mark.slow
def test_the_table_says_that_operations_of_masks_are_not_counted(capsys):
    two_stage = ["model=mask_rcnn", *MODEL[1:3], "model.neck.out_channels=16"]
    narrow = ["model.roi_head.box_head.width=16", "model.roi_head.mask_head.channels=16"]
    assert main(["describe", *two_stage, *narrow, *SMALL, "depth=1"]) == 0
    assert (
        capsys.readouterr().out.splitlines()[-1].startswith("not counted: operations of the mask")
    )


@pytest.mark.slow
def test_class_weights_of_any_name_are_accepted(capsys):
    weights = "model.head.classification_loss.class_weights={cat: 2}"
    assert main(["describe", *MODEL, *SMALL, weights, "depth=1"]) == 0


@pytest.mark.slow
def test_layers_of_a_fixed_size_are_described_at_that_size(capsys):
    tiny = ["model.neck.out_channels=8", "model.head.layers.local_channels=2"]
    words = ["model=yolov1", *MODEL[1:3], "model.backbone.levels=[5]", *tiny, "depth=1"]
    assert main(["describe", *words]) == 0
    shown = capsys.readouterr()
    assert "for an image of 448 x 448 pixels" in shown.out
    assert "note: image_size=[448,448], which the detector is built for" in shown.err


@pytest.mark.slow
def test_layers_of_training_alone_are_one_line(capsys):
    hourglass = "{name: hourglass, levels: [2], all_stacks: true, channels: [8, 8], blocks: [1, 1]}"
    tiny = ["model.head.width=8", "model.head.pooling_width=8"]
    words = ["model=cornernet", f"model.backbone={hourglass}", *tiny, *SMALL]
    assert main(["describe", *words]) == 0
    shown = capsys.readouterr().out
    (line,) = [line.split() for line in shown.splitlines() if " not run " in line]
    assert line[:4] == ["0", "ModuleList", "not", "run"]
    assert shown.rstrip().endswith("not run: layers that only training uses")


def test_a_backbone_as_csv(tmp_path, capsys):
    file = tmp_path / "new" / "layers.csv"
    assert main(["describe", "alexnet", "image_size=224", "depth=0", f"output={file}"]) == 0
    rows = list(csv.DictReader(file.open()))
    assert rows[1]["layer"] == "features.0"
    assert rows[1]["output"] == "64 x 56 x 56"
    assert (rows[1]["parameters"], rows[1]["receptive_field"]) == ("23296", "11")
    assert f"written: {file}" in capsys.readouterr().out


@pytest.mark.slow
def test_pictures_of_each_level(tmp_path, capsys):
    folder = tmp_path / "fields"
    assert main(["describe", *MODEL, *SMALL, f"fields={folder}"]) == 0
    pictures = sorted(folder.iterdir())
    strides = [8, 16, 32, 64, 128]
    expected = [f"level_{number}_stride_{stride}.png" for number, stride in enumerate(strides, 1)]
    assert [picture.name for picture in pictures] == expected
    with Image.open(pictures[0]) as picture:
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 10
    assert "theoretical" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["output=layers.txt"], "output=layers.txt: expected a file name that ends in .csv"),
        (["depth=-1"], "depth"),
        (["loss", "focal", "depth=1"], "'loss focal' is no network"),
        (["nonsense", "depth=1"], "there is no backbone 'nonsense'"),
        (["resnet18", "ckpt=runs/x"], "ckpt=... has its own backbone: leave out 'resnet18'."),
    ],
)
def test_wrong_words_are_named(words, text, capsys):
    assert main(["describe", *words]) == 2
    assert text in capsys.readouterr().err
