import math
from pathlib import Path

import pytest
import torch
from torch import nn

import detkit
from detkit import assembly
from detkit.assembly import Classes
from detkit.weights.initial_values import initialise, is_output

PAGES = sorted(path.stem for path in (Path(__file__).parents[2] / "conf/model").glob("*.yaml"))
OWN_BACKBONE = {"backbone": {"name": "csp_yolov5"}}


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 16, 3))
        self.neck = nn.Sequential(nn.Conv2d(16, 64, 3), nn.BatchNorm2d(64), nn.Linear(40, 300))
        self.head = nn.Module()
        self.head.class_layers = nn.ModuleList([nn.Conv2d(64, 3, 1)])
        self.head.deconvolution = nn.ConvTranspose2d(32, 200, 2)
        self.head.offset = nn.Conv2d(3, 2, 1)
        nn.init.zeros_(self.head.offset.weight)
        nn.init.constant_(self.head.class_layers[0].bias, -4.6)


def initialised(method, model=OWN_BACKBONE):
    torch.manual_seed(0)
    detector = Detector()
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    text = initialise(detector, method, model)
    after = detector.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    return detector, changed, text


@pytest.mark.parametrize("method", ["he", "xavier", "orthogonal", "sparse"])
def test_hidden_weights_are_new_and_everything_else_stays(method):
    _, changed, text = initialised(method)
    assert changed == {
        *("backbone.0.weight", "neck.0.weight", "neck.2.weight", "head.deconvolution.weight"),
    }
    assert text.startswith(
        f"init={method}: new weights in backbone (1 layer), neck (2 layers) and head (1 layer); "
        "output layers, biases and norms keep"
    )


@pytest.mark.parametrize(
    "backbone",
    [
        {"name": "resnet50", "weights": "imagenet"},
        {"name": "timm", "pretrained": True, "checkpoint": None},
        {"name": "deformable", "backbone": {"name": "resnet50", "weights": "file.pth"}},
    ],
)
def test_a_pretrained_backbone_keeps_its_weights(backbone):
    _, changed, text = initialised("he", {"backbone": backbone})
    assert "neck.0.weight" in changed
    assert "backbone.0.weight" not in changed
    assert text.endswith("and so does the backbone")


def test_a_backbone_that_starts_from_scratch_is_initialised():
    _, changed, _ = initialised("he", {"backbone": {"name": "resnet50", "weights": None}})
    assert "backbone.0.weight" in changed


def test_he_is_normal_with_a_variance_of_2_over_the_inputs():
    weight = initialised("he")[0].neck[2].weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / 40), rel=0.03)
    deconvolution = initialised("he")[0].head.deconvolution.weight  # 32 inputs, 2 x 2
    assert deconvolution.std().item() == pytest.approx(math.sqrt(2 / 128), rel=0.03)


def test_xavier_is_uniform_with_a_bound_of_6_over_inputs_and_outputs():
    weight = initialised("xavier")[0].neck[2].weight
    bound = math.sqrt(6 / (40 + 300))
    assert weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)


def test_orthogonal_rows_or_columns_have_length_root_2():
    weight = initialised("orthogonal")[0].neck[0].weight.flatten(1)  # 64 units, 144 inputs
    torch.testing.assert_close(weight @ weight.T, 2 * torch.eye(64), atol=1e-5, rtol=0)


def test_sparse_units_have_15_inputs():
    weight = initialised("sparse")[0].neck[2].weight
    assert ((weight != 0).sum(dim=1) == 15).all()
    assert weight[weight != 0].std().item() == pytest.approx(math.sqrt(2 / 15), rel=0.05)


TINY = [
    *("model=fcos", "model/backbone=timm", "model.backbone.model=test_resnet"),
    *("model.neck.out_channels=16", "model.head.layers.convs=1"),
]


def state(*words):
    torch.manual_seed(0)
    detector = detkit.build(detkit.compose([*TINY, *words]), class_names=["a", "b"])
    return detector.state_dict()


def test_a_detector_keeps_its_class_prior_and_output_layers():
    plain, orthogonal = state(), state("init=orthogonal")
    changed = {name for name in plain if not torch.equal(plain[name], orthogonal[name])}
    assert {name.rsplit(".", 1)[1] for name in changed} == {"weight"}
    assert "head.layers.class_tower.0.conv.weight" in changed
    assert not any("_layer." in name for name in changed)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_page_names_its_output_layers(page):
    config = detkit.compose([f"model={page}"])
    detector = assembly.describe_on_meta(config["model"], Classes(["a", "b"], [1, 2]))
    outputs = [name for name, _ in detector.named_modules() if is_output(name)]
    assert any("class_layer" in name for name in outputs)
    assert any("box_layer" in name for name in outputs)


def test_the_methods_are_those_of_the_configuration():
    with pytest.raises(detkit.ConfigError, match=r"expected he \| xavier \| orthogonal \| sparse"):
        detkit.compose(["init=hee"])
