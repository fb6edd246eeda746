"""A plugin whose feature specs are not what its forward gives is found before data is read."""

import pytest

from detkit import registry
from detkit.assembly import refuse_misfits
from detkit.config.compose import compose
from detkit.errors import ConfigError

NECK = '''
from torch import nn

from detkit import Wired, register
from detkit.structures import FeatureSpec


@register("neck", "specified")
class Specified(nn.Module):
    """A convolution on each level.

    Args:
        said: Channels that it says it has.
    """

    def __init__(self, *, feature_specs: Wired[list[FeatureSpec]], said: int = 32) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(spec.channels, 32, 1) for spec in feature_specs)
        self.feature_specs = [FeatureSpec(said, spec.stride) for spec in feature_specs]

    def forward(self, features):
        return [conv(level) for conv, level in zip(self.convs, features, strict=True)]
'''


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_loaded_plugins", {})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(NECK)
    words = ["plugins=[own.py]", "model/backbone=resnet18", "model/neck=specified"]

    def composed(*more: str) -> dict:
        return compose("train", [*words, *more])["model"]

    yield composed
    del registry._parts["neck", "specified"]


@pytest.mark.parametrize("page", ["fcos", "faster_rcnn"])
def test_untrue_specs_are_reported_with_file_and_remedy(page, model, tmp_path):
    refuse_misfits(model(f"model={page}"))
    text = (
        rf"neck 'specified' \({tmp_path}/own\.py\): its feature_specs say that its levels have "
        r"\[64, 64, .*\] channels, and they have \[32, 32, .*\]: let feature_specs say what"
    )
    with pytest.raises(ConfigError, match=text):
        refuse_misfits(model(f"model={page}", "model.neck.said=64"))
