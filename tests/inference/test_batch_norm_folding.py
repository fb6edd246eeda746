"""Folding batch norms for prediction."""

import pytest
import torch
from torch import nn

from detkit import assembly
from detkit.assembly import Classes
from detkit.config.compose import compose
from detkit.inference.batch_norm_folding import fold_batch_norms
from detkit.ops.frozen_batch_norm import FrozenBatchNorm

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255


def with_statistics(module):
    """Batch norms with trained-looking statistics."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d | FrozenBatchNorm):
            for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
    return module.eval()


def norms(module):
    return [m for m in module.modules() if isinstance(m, nn.BatchNorm2d | FrozenBatchNorm)]


RESNET = ["model=fcos", "model/backbone=resnet18", "model.backbone.weights=null"]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["model=yolo_free_n"], marks=pytest.mark.slow),
        RESNET,
        [*RESNET, "model.backbone.norm=frozen_batch"],
    ],
)
def test_detectors_predict_the_same_without_their_batch_norms(words):
    torch.manual_seed(0)
    model = compose("train", words)["model"]
    detector = with_statistics(assembly.build_detector(model, Classes(["a", "b"], [1, 2])))
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    folded = fold_batch_norms(detector, IMAGES)
    assert norms(detector)
    assert norms(folded) == []
    with torch.no_grad():
        for ours, expected in zip(folded(IMAGES)[:2], detector(IMAGES)[:2], strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
    assert all(torch.equal(before[name], value) for name, value in detector.state_dict().items())


class ReadTwice(nn.Module):
    """A convolution whose map is read before and after its norm."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, images):
        features = self.conv(images)
        return self.norm(features) + features


class OneForTwo(nn.Module):
    """A convolution shared by two norms, as of two levels."""

    def __init__(self):
        super().__init__()
        self.conv, self.first, self.second = (
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4),
            nn.BatchNorm2d(4),
        )

    def forward(self, images):
        return self.first(self.conv(images)), self.second(self.conv(images[:, :, ::2]))


@pytest.mark.parametrize("kind", [ReadTwice, OneForTwo])
def test_what_cannot_be_folded_stays(kind):
    module = with_statistics(kind())
    assert fold_batch_norms(module, IMAGES) is module
