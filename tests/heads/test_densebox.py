"""DenseBox's loss by hand."""

import pytest
import torch

from detkit.structures import DensePredictions, FeatureSpec, PaddedTargets, Target

SIZE = (4, 4)  # cells of 4 pixels
BOX = [2.0, 2, 6, 6]  # around the corner of four cells, whose centres are 2.8 pixels away


def test_squared_errors_of_scores_and_distances(build_head, monkeypatch):
    head = build_head("densebox", feature_specs=[FeatureSpec(8, 4)])
    logits, codes = torch.full((1, 16, 3), 0.5), torch.zeros(1, 16, 4)
    predictions = DensePredictions(logits, codes, None)
    monkeypatch.setattr(head.layers, "forward", lambda features: predictions)
    target = Target(torch.tensor([BOX]), torch.tensor([1]), torch.tensor([False]))
    losses = head.loss([torch.zeros(1, 8, *SIZE)], PaddedTargets.of([target]))
    # Three classes with scores of 0.5 give 0.75 for each of four positives and each background
    # cell. Cells within 1.2 + 8 pixels of the centre are ignored unless they are positive.
    cells = torch.cartesian_prod(torch.arange(4), torch.arange(4)) * 4.0 + 2
    background = int(((cells - 4).norm(dim=1) > 9.2).sum())
    assert losses["loss/classification"].item() == pytest.approx(0.75 * (4 + background) / 4)
    # In each positive cell, two sides are 0 and two are 4 pixels away, in units of 50 pixels.
    assert losses["loss/box"].item() == pytest.approx(3 * 2 * (4 / 50) ** 2)
