"""Published weights by name."""

from pathlib import Path

import pytest
import torch

from detkit.backbones.resnet import ResNet50
from detkit.backbones.timm import TimmBackbone
from detkit.cli.main import main
from detkit.config.compose import compose
from detkit.config.derived.published_weights import resolve_weights
from detkit.errors import ConfigError, UserError
from detkit.weights import download, published
from detkit.weights.hub_file import HubFile, hub_file
from detkit.weights.published import fetch, published_file

CONF = Path(__file__).parents[2] / "conf" / "model"


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """An empty cache and no network."""

    def refuse():
        raise OSError("no network")

    monkeypatch.setattr(download, "build_opener", refuse)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_imagenet_becomes_the_argument_of_the_backbone():
    config = {"weights": "imagenet", "model": {"backbone": {"name": "resnet18", "weights": None}}}
    resolve_weights(config, "fcos")
    assert (config["weights"], config["model"]["backbone"]["weights"]) == (None, "imagenet")


def test_imagenet_reaches_a_backbone_of_timm_inside_another():
    config = compose("train", ["model=fcos", "model/backbone=vit", "weights=imagenet"])
    assert config["model"]["backbone"]["backbone"]["pretrained"] is True


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ({"name": "darknet53"}, r"'darknet53' has no published weights; .*resnet50"),
        ({"name": "resnet50", "weights": "a.pth"}, r"loads a file already \(a.pth\)"),
        ({"name": "timm", "pretrained": False, "checkpoint": "b.pth"}, r"already \(b.pth\)"),
    ],
)
def test_imagenet_is_refused_where_it_does_not_fit(backbone, message):
    with pytest.raises(ConfigError, match=message):
        resolve_weights({"weights": "imagenet", "model": {"backbone": backbone}}, "fcos")


def test_coco_belongs_to_the_page_of_the_model():
    assert compose("train", ["model=torchvision_fcos", "weights=coco"])["weights"] == (
        "coco:torchvision_fcos"
    )
    file = published_file("coco:torchvision_fcos")
    assert file.url.endswith("fcos_resnet50_fpn_coco-99b0c9b7.pth")
    assert file.licence.startswith("BSD-3-Clause")
    assert file.megabytes == pytest.approx(123.6, abs=0.1)


def test_each_page_of_torchvision_names_its_weights():
    pages = {path.stem for path in CONF.glob("torchvision_*.yaml")}
    assert pages == set(published._TORCHVISION)
    for page in pages:
        assert "weights=coco" in (CONF / f"{page}.yaml").read_text()
        assert published_file(f"coco:{page}").url.startswith("https://download.pytorch.org/")


def test_coco_for_another_page_lists_the_pages_that_have_some():
    with pytest.raises(UserError, match=r"for the page model=fcos\. .*model=torchvision_retinanet"):
        published_file("coco:fcos")


def test_without_a_network_coco_ends_in_one_line_and_creates_nothing(offline, capsys):
    words = ["model=torchvision_fcos", "weights=coco", "run_folder=run"]
    assert main(["train", *words]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: weights=coco:torchvision_fcos: https://download.pytorch.org/")
    assert f"put it into {offline}/hub/checkpoints" in error
    assert list(offline.iterdir()) == []


def test_without_a_network_imagenet_ends_before_anything_is_built():
    config = {"weights": None, "model": {"backbone": {"name": "resnet50", "weights": "imagenet"}}}
    with pytest.raises(UserError, match=r"weights=imagenet: .*resnet50-0676ba61.pth could not be"):
        fetch(config)


def test_what_is_not_asked_for_is_not_downloaded():
    fetch({"weights": None, "model": {"backbone": {"name": "resnet50", "weights": None}}})
    fetch({"weights": "file.pth", "model": {"head": {}}})


def test_backbones_describe_their_published_weights():
    assert ResNet50.published_weights({}).source.endswith("resnet50-0676ba61.pth")
    weights = TimmBackbone.published_weights({"model": "convnext_tiny.in12k_ft_in1k"})
    assert weights.source == "hf://timm/convnext_tiny.in12k_ft_in1k/model.safetensors"
    assert weights.licence == "apache-2.0"
    assert TimmBackbone.published_weights({"model": "test_vit"}) is not None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("hf://timm/resnet50.a1_in1k", HubFile("timm/resnet50.a1_in1k", "model.safetensors")),
        ("hf://a/b@v1.0/weights/x.pth", HubFile("a/b", "weights/x.pth", "v1.0")),
    ],
)
def test_an_address_on_the_hub_is_read(address, expected):
    assert hub_file(address) == expected


@pytest.mark.parametrize("address", ["hf://timm", "hf://a/b/../c", "hf:///x/y"])
def test_a_wrong_address_is_refused(address):
    with pytest.raises(UserError, match=r"expected hf://OWNER/REPOSITORY/FILE"):
        hub_file(address)


def test_a_hub_without_a_network_ends_in_one_line(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError) as raised:
        HubFile("detkit/nothing").fetch("weights=hf://detkit/nothing")
    assert str(raised.value).startswith(
        "weights=hf://detkit/nothing: model.safetensors of detkit/nothing on the Hugging Face hub "
        "could not be downloaded ("
    )
    assert "\n" not in str(raised.value)
