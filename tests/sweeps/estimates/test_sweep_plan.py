"""`detkit plan`: what it counts is what a real detector takes, and what cannot run is named."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from detkit import assembly
from detkit.assembly import Classes
from detkit.cli.main import main
from detkit.config.compose import compose
from detkit.evaluation.operation_counts import operations, saved_bytes, size_of
from detkit.structures import Batch, PaddedTargets, Target
from detkit.sweeps.estimates.device_speed import Speed, measure_speed
from detkit.sweeps.estimates.sweep_plan import minutes_text
from detkit.sweeps.estimates.training_cost import Estimator

CLASSES, SIDE, IMAGES = 5, 96, 2
TINY = ["model/backbone=timm", "model.backbone.model=test_resnet", "model.neck.out_channels=16"]
SMALL = ["data.batch_size=2", *TINY]
CLASS_WEIGHTS = "model.head.classification_loss.class_weights"
DETECTORS = [
    ("fcos", [*SMALL]),
    pytest.param("retinanet", [*SMALL, "trainer.precision=bf16"], marks=pytest.mark.slow),
    (
        "faster_rcnn",
        [*SMALL, "model.backbone.levels=[2,3,4,5]", "model.roi_head.sampler.number=16"],
    ),
    pytest.param("yolov5n", ["data.batch_size=2"], marks=pytest.mark.slow),
    pytest.param(
        "yolo_free_n", ["data.batch_size=2", "trainer.precision=bf16"], marks=pytest.mark.slow
    ),
]


def batch() -> Batch:
    """Two images of noise, each with two objects."""
    boxes = torch.tensor([[8.0, 8.0, 60.0, 56.0], [30.0, 20.0, 90.0, 90.0]])
    target = Target(boxes, torch.tensor([0, 1]), torch.zeros(2, dtype=torch.bool))
    return Batch(
        images=torch.randint(0, 256, (IMAGES, 3, SIDE, SIDE), dtype=torch.uint8),
        image_sizes=[(SIDE, SIDE)] * IMAGES,
        targets=PaddedTargets.of([target] * IMAGES),
        original_targets=[target] * IMAGES,
        image_ids=list(range(IMAGES)),
        paths=["noise"] * IMAGES,
        original_sizes=[(SIDE, SIDE)] * IMAGES,
        to_image=torch.eye(3, dtype=torch.float64).expand(IMAGES, 3, 3),
    )


def real(config: dict[str, Any]) -> Any:
    """The detector with its memory."""
    torch.manual_seed(0)
    classes = Classes([str(i) for i in range(CLASSES)], list(range(1, CLASSES + 1)))
    return assembly.build_detector(config["model"], classes, fetch_weights=False)


@pytest.mark.parametrize(("page", "words"), DETECTORS)
def test_memory_kept_by_autograd_is_counted_within_three_percent(
    page: str, words: list[str]
) -> None:
    config = compose("train", [f"model={page}", *words])
    detector = real(config).train()
    half = config["trainer"]["precision"] == "bf16"

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
            detector.loss(batch())

    there = [*detector.parameters(), *detector.buffers()]
    kept = saved_bytes(step, there)
    memory = Estimator(CLASSES, (SIDE, SIDE))(config).memory
    assert memory is not None
    assert memory.activations == pytest.approx(kept, rel=0.03)
    assert memory.weights == size_of(there)


@pytest.mark.slow
def test_gradients_optimizer_and_average_are_counted() -> None:
    words = [*SMALL, "optimizer=adamw", "callbacks=average", "model.backbone.frozen_stages=1"]
    config = compose("train", ["model=fcos", *words])
    detector = real(config)
    trained = sum(p.numel() for p in detector.parameters() if p.requires_grad)
    assert trained < sum(p.numel() for p in detector.parameters())
    memory = Estimator(CLASSES, (SIDE, SIDE))(config).memory
    assert memory is not None
    assert memory.gradients == 4 * trained
    counters = 4 * sum(p.requires_grad for p in detector.parameters())
    assert memory.optimizer == 2 * 4 * trained + counters
    floats = [v for v in detector.state_dict().values() if v.is_floating_point()]
    assert memory.average == size_of(floats)
    assert memory.total == sum(
        (memory.weights, memory.gradients, memory.optimizer, memory.average, memory.activations)
    )


@pytest.mark.slow
def test_numbers_equal_detkit_config_and_a_real_detector(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["model=retinanet", *SMALL, "image_size=96", "num_classes=5"]
    assert main(["config", *words]) == 0
    wiring = capsys.readouterr().out
    assert main(["plan", *words]) == 0
    _minutes, *cells = capsys.readouterr().out.splitlines()[-1].split()
    assert f"{cells[0]} M parameters" in wiring
    assert f"{cells[2]} priors" in wiring
    detector = real(compose("train", ["model=retinanet", *SMALL])).eval()
    one = batch()
    counted = operations(lambda: detector(one.images[:1].float()))
    assert cells[1] == f"{counted / 1e9:.1f}"


def test_cells_that_cannot_run_are_named_with_their_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["model=fcos", "model/neck=fpn,pam", "model.backbone.levels=[3,4,5],[5]", *TINY]
    assert main(["plan", *words, "image_size=128"]) == 1
    shown = capsys.readouterr().out
    heading, *reasons = shown[shown.index("3 of 4 cells cannot run") :].splitlines()
    assert heading == "3 of 4 cells cannot run:"
    assert "neck 'fpn' needs 3 or more feature levels, got 1" in reasons[0]
    assert reasons[0].endswith("(cell model/neck=fpn model.backbone.levels=[5])")
    assert "there is no neck 'pam'. Did you mean 'sam'?" in reasons[1]
    assert reasons[1].endswith("(2 cells, the first model/neck=pam model.backbone.levels=[3,4,5])")
    rows = [line.split() for line in shown.splitlines()]
    assert ["pam", "[5]", "cannot", "run"] in rows


@pytest.mark.parametrize("num_classes", [None, pytest.param(CLASSES, marks=pytest.mark.slow)])
def test_class_weights_by_name_can_be_planned(num_classes: int | None) -> None:
    config = compose("train", ["model=fcos", *SMALL, f"{CLASS_WEIGHTS}={{circle: 2}}"])
    assert Estimator(num_classes, (SIDE, SIDE))(config).memory is not None


@pytest.mark.slow
def test_class_weights_of_other_classes_cannot_run(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["model=fcos", *SMALL, f"{CLASS_WEIGHTS}={{dog: 2}}", "image_size=96"]
    assert main(["plan", *words]) == 1
    assert "class_weights names 'dog', which is not a class" in capsys.readouterr().out


@pytest.mark.slow
def test_network_that_cells_share_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    describe = assembly.describe_on_meta

    def spied(model: Any, classes: Classes) -> Any:
        built.append(model)
        return describe(model, classes)

    monkeypatch.setattr(assembly, "describe_on_meta", spied)
    assert main(["plan", "model=fcos", *SMALL, "seed=1,2", "optimizer=sgd,adamw"]) == 0
    assert len(built) == 1


@pytest.mark.slow
def test_drawn_value_is_left_out_and_long_tables_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detkit.cli.plan.MOST_CELLS", 2)
    rate = "optimizer.learning_rate=interval(0.1,1)"
    assert main(["plan", "-m", rate, "model=fcos", *SMALL, "seed=1,2,3"]) == 0
    shown = capsys.readouterr()
    assert "optimizer.learning_rate=interval(0.1,1) is sampled by a sweeper" in shown.err
    assert shown.out.startswith("3 cells; ")
    assert shown.out.rstrip().endswith("... and 1 more cell")


@pytest.mark.slow
def test_swept_values_of_a_page_are_planned_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "conf/experiment/swept.yaml"
    page.parent.mkdir(parents=True)
    params = "{data.batch_size: '1,2', seed: '1,2', optimizer.learning_rate: 'interval(0.1,1)'}"
    page.write_text(f"# @package _global_\nhydra: {{sweeper: {{params: {params}}}}}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "model=fcos", *TINY, "experiment=swept", "seed=3"]) == 0
    shown = capsys.readouterr()
    assert "optimizer.learning_rate=interval(0.1,1) is sampled" in shown.err
    rows = [line.split()[:2] for line in shown.out.splitlines()[2:]]
    assert [row[0] for row in rows] == ["data.batch_size", "1", "2"]


PLUGIN = '''
from torch import Tensor, nn

from detkit import Wired, register
from detkit.structures import FeatureSpec


@register("neck", "NAME")
class Plugged(nn.Module):
    """A neck of one layer."""

    def __init__(self, *, feature_specs: Wired[list[FeatureSpec]]) -> None:
        super().__init__()
        self.feature_specs = feature_specs
        self.layer = nn.Conv2d(CHANNELS, feature_specs[0].channels, 1)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return [FIRST, *features[1:]]
'''
LIAR = PLUGIN.replace("CHANNELS", "7").replace("FIRST", "self.layer(features[0])")
OF_VALUES = LIAR.replace("7", "feature_specs[0].channels").replace(
    "[self.layer(features[0])", "[features[0] * float(features[0].detach().sum())"
)


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        (OF_VALUES, 0, "not counted: parts of the network that depend on the values"),
        (LIAR, 1, "the network does not run for images of"),
    ],
    ids=["values", "liar"],
)
def test_networks_that_look_at_values_or_do_not_run(
    source: str, code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"plan_neck_{code}"  # of its own, as what is registered stays so
    file = tmp_path / f"{name}.py"
    file.write_text(source.replace("NAME", name))
    words = [f"plugins=[{file}]", "model=fcos", *TINY[:2]]
    assert main(["plan", *words, f"model/neck={name}"]) == code
    assert said in capsys.readouterr().out


# pain 57
def test_classes_and_sizes_come_from_the_data(tmp_path: Path) -> None:
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    content["categories"] = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    for number in range(5):
        Image.new("RGB", (320, 240)).save(tmp_path / f"{number}.png")
        image = {"id": number, "file_name": f"{number}.png", "height": 240, "width": 320}
        box = {"id": number, "image_id": number, "category_id": 1, "bbox": [9, 9, 50, 50]}
        content["images"].append(image)
        content["annotations"].append({**box, "area": 2500, "iscrowd": 0})
    (tmp_path / "labels.json").write_text(json.dumps(content))
    words = ["model=fcos", f"data.path={tmp_path}", *TINY, "image_size=[96,192]"]
    estimate = Estimator()(compose("train", words))
    assert estimate.classes == 2
    assert estimate.images == "96 x 128"


@pytest.mark.slow
def test_data_that_cannot_be_read_are_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "model=fcos", *TINY, f"data.path={tmp_path}"]) == 1
    shown = capsys.readouterr().out
    assert "1 of 1 cell cannot run:" in shown
    assert str(tmp_path) in shown


@pytest.mark.slow
def test_the_embedded_data_set_is_not_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "model=fcos", *TINY, "augmentation=standard,mosaic"]) == 0
    assert capsys.readouterr().out.startswith("2 cells; 6 classes")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_minutes_cover_the_whole_training() -> None:
    words = ["model=fcos", *SMALL, "trainer.accelerator=cpu", "data.reader.train_images=20"]
    config = compose("train", [*words, "data.reader.validation_images=5"])
    counted = Estimator(CLASSES, (SIDE, SIDE))(config)
    assert counted.minutes is None
    assert counted.operations is not None
    second = Estimator(CLASSES, (SIDE, SIDE), lambda _: Speed(counted.operations, 0.0))(config)
    seconds = 12 * 20 * 3 + (12 + 1) * 5  # epochs, images; a second a pass, backward is two
    assert second.minutes == pytest.approx(1.3 * seconds / 60)


def test_small_layers_take_their_time() -> None:
    speed = Speed(operations=100.0, layer=0.5)
    assert speed.pass_seconds(1000.0, 3) == 10.0
    assert speed.pass_seconds(10.0, 3) == 1.5
    measured = measure_speed(torch.device("cpu"), None)
    assert measured.operations > 1e6
    assert 0 < measured.layer < 1


def test_minutes_have_two_digits() -> None:
    shown = [minutes_text(minutes) for minutes in (0.04, 3.21, 45.4, 123.4, 12345.0)]
    assert shown == ["0.0", "3.2", "45", "120", "12,000"]
