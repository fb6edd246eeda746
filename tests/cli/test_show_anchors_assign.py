"""`detkit data show`, `detkit data anchors` and `detkit assign` on the embedded data set."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from tiny_run import TINY

from detkit import assembly
from detkit.cli.main import main
from detkit.config.compose import compose
from detkit.data.shapes import render_shapes
from detkit.registry import get
from detkit.structures import FeatureSpec
from detkit.visualization.samples import draw_sample

SMALL_MOSAIC = [
    "augmentation=mosaic",
    "augmentation.train.mosaic.height=128",
    "augmentation.train.mosaic.width=128",
    "augmentation.train.perspective.height=64",
    "augmentation.train.perspective.width=64",
    "augmentation.train.resize.short_side=64",
    "augmentation.train.resize.long_side=64",
]
DETECTOR = [word for word in TINY if word.startswith("model")]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work") / "shapes"
    render_shapes(folder, train_images=10, validation_images=2, image_size=96, seed=0)
    return folder


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_show_draws_the_samples_that_training_gets(work, shapes, capsys):
    words = [*SMALL_MOSAIC, "data.batch_size=4", "data.workers=0"]
    assert main(["data", "show", str(shapes), *words, "count=3", "epoch=1"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1] == "data_show: overview.png, 3 pictures"
    assert len(list(Path("data_show").iterdir())) == 4
    data = assembly.build_data(compose("train", ["data=folder", f"data.path={shapes}", *words]))
    loader = data.train_loader()
    loader.batch_sampler.sampler.set_epoch(1)
    batch = next(iter(loader))
    listed = zip(batch.paths[:3], shown[:3], strict=True)
    assert all(f"({Path(path).name})" in line for path, line in listed)
    key = next(iter(loader.batch_sampler))[1]
    expected = draw_sample(loader.dataset[key], data.class_names)
    assert np.array_equal(np.asarray(Image.open("data_show/002.png")), np.asarray(expected))
    assert batch.images[1].equal(loader.dataset[key].image)
    place = [f"positions=[{key.position}]", "output=place"]
    assert main(["data", "show", str(shapes), *words, *place, "epoch=1"]) == 0
    assert Path("place/001.png").read_bytes() == Path("data_show/002.png").read_bytes()


def test_show_of_positions_with_the_words_of_training(work, shapes, capsys):
    words = ["data=folder", f"data.path={shapes}", "positions=[4,0]", "output=seen"]
    assert main(["data", "show", *words]) == 0
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.startswith("001.png  position 4 (000004.jpg), 96 x 96 pixels: ")
    assert second.startswith("002.png  position 0 (000000.jpg)")
    assert last == "seen: overview.png, 2 pictures"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["positions=[10]"], "positions=[10]: the training split has images 0 to 9."),
        (["positions=[]"], "the training split has images 0 to 9."),
        (["count=0"], "count: expected int > 0, got 0"),
        (["elsewhere"], "path is given twice"),
        (["augmentation=mosaik"], "augmentation: there is no 'mosaik'. Did you mean 'mosaic'?"),
    ],
    ids=str,
)
def test_show_says_what_to_change(work, shapes, words, message, capsys):
    assert main(["data", "show", str(shapes), *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_the_last_epochs_show_no_mosaic(work, shapes, capsys):
    words = [*SMALL_MOSAIC, "augmentation.train.perspective.scale=0.0", "positions=[0]"]
    words += ["augmentation.train.perspective.translate=0.0", "augmentation.train.mixup=null"]
    words += ["augmentation.train.colours=null", "augmentation.train.mirror=null"]
    plain = [word for word in words if not word.startswith("augmentation.train.mosaic.")]
    plain += ["augmentation.train.mosaic=null", "output=b"]
    for epoch, same in ((0, False), (2, True)):
        main(["data", "show", str(shapes), *words, f"epoch={epoch}", "output=a"])
        main(["data", "show", str(shapes), *plain])
        first, second = (np.asarray(Image.open(f"{name}/001.png")) for name in "ab")
        assert np.array_equal(first, second) is same


def test_anchors_print_a_page(work, shapes, capsys):
    assert main(["data", "anchors", str(shapes), "count=6", "strides=[8,16]", "seeds=2"]) == 0
    shown = capsys.readouterr().out
    assert f"{shapes}, train: " in shown
    assert "COCO's of YOLOv3 and v5, 9 anchors" in shown
    page = yaml.safe_load(shown[shown.index("model:") :])
    priors = page["model"]["head"]["priors"]
    levels = priors["sizes"]
    specs = [FeatureSpec(8, 8), FeatureSpec(8, 16)]
    made = get("priors", priors["name"])(feature_specs=specs, sizes=levels)
    assert made.per_cell == [3, 3]
    areas = [width * height for level in levels for width, height in level]
    assert [len(level) for level in levels] == [3, 3]
    assert areas == sorted(areas)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["count=7"], "count=7 anchors cannot be distributed evenly over 3 levels"),
        (["count=3000"], "do not make 3000 anchors"),
        (["strides=8"], "strides: expected"),
    ],
    ids=str,
)
def test_anchors_say_what_to_change(work, shapes, words, message, capsys):
    assert main(["data", "anchors", str(shapes), *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_assign_compares_two_assigners(work, shapes, capsys):
    words = [*DETECTOR, f"data.path={shapes}", "against=atss", "against.topk=3", "count=2"]
    assert main(["assign", *words]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].split() == ["fcos", "atss"]
    assert "assignment: 2 pictures" in shown
    assert len(list(Path("assignment").glob("*.png"))) == 2


def test_assign_takes_the_detector_of_a_run(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    before = sorted(Path().iterdir())
    assert main(["assign", "ckpt=first", "output=null", "positions=[1]", "augmented=true"]) == 0
    assert "objects without any" in capsys.readouterr().out
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["against=atts"], "there is no assigner 'atts'. Did you mean 'atss'?"),
        (["against=atss", "against.top=3"], "model.head.assigner.top: unknown key"),
        (["against.topk=3"], "against.topk=3: name the second assigner as well"),
        (["positions=[99]"], "the training split has images 0 to 9."),
    ],
    ids=str,
)
def test_assign_says_what_to_change(work, shapes, words, message, capsys):
    assert main(["assign", *DETECTOR, f"data.path={shapes}", *words]) == 2
    assert message in capsys.readouterr().err
