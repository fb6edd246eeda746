"""Seesaw loss equals MMDetection's: values, gradients and counts over several steps."""

import sys
from unittest.mock import MagicMock

import pytest
import torch
from torch.testing import assert_close

from detkit.losses import SeesawLoss

CLASSES = 5


@pytest.fixture
def mmdet_seesaw(monkeypatch):
    """MMDetection's loss, with a substitute for compiled operations that it does not use."""
    pytest.importorskip("mmengine", reason="the reference is MMDetection, which is not installed")
    monkeypatch.setitem(sys.modules, "mmcv._ext", MagicMock(__file__="", __spec__=None))
    module = pytest.importorskip("mmdet.models.losses.seesaw_loss")
    return module.SeesawLoss(num_classes=CLASSES, reduction="sum")


@pytest.mark.slow  # the import takes seconds
def test_seesaw_equals_mmdetection(mmdet_seesaw):
    loss = SeesawLoss(num_classes=CLASSES)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        logits = 3 * torch.randn(40, CLASSES + 1, generator=generator)
        labels = torch.randint(-1, 3, (40,), generator=generator)  # two classes never occur
        ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
        # Theirs has two logits for objectness, of which only the difference counts.
        objectness = torch.stack([-theirs[:, -1], torch.zeros(40)], dim=1)
        parts = mmdet_seesaw(
            torch.cat([theirs[:, :-1], objectness], dim=1), labels.where(labels >= 0, CLASSES)
        )
        value, expected = loss(ours, labels).sum(), sum(parts.values())
        value.backward()
        expected.backward()
        assert_close(value, expected, rtol=1e-6, atol=0)
        assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-6)
        assert loss.counts.tolist() == mmdet_seesaw.cum_samples[:-1].tolist()
