"""DenseBox's loss and detections by hand."""

import pytest
import torch
from torch.testing import assert_close

from detkit.structures import DensePredictions, FeatureSpec, PaddedTargets, Target

SIZE = (4, 4)  # cells of 4 pixels
BOX = [2.0, 2, 6, 6]  # around the corner of four cells, whose centres are 2.8 pixels away
FEATURES = [torch.zeros(1, 8, *SIZE)]


@pytest.fixture
def head_with(build_head, monkeypatch):
    """Build the head with these logits (16, 3) and codes (16, 4) as its outputs."""

    def build(logits, codes):
        head = build_head("densebox", feature_specs=[FeatureSpec(8, 4)])
        predictions = DensePredictions(logits[None], codes[None], None)
        monkeypatch.setattr(head.layers, "forward", lambda features: predictions)
        return head

    return build


def test_squared_errors_of_scores_and_distances(head_with):
    head = head_with(torch.full((16, 3), 0.5), torch.zeros(16, 4))
    target = Target(torch.tensor([BOX]), torch.tensor([1]), torch.tensor([False]))
    losses = head.loss(FEATURES, PaddedTargets.of([target]))
    # Three classes with scores of 0.5 give 0.75 for each of four positives and each background
    # cell. Cells within 1.2 + 8 pixels of the centre are ignored unless they are positive.
    cells = torch.cartesian_prod(torch.arange(4), torch.arange(4)) * 4.0 + 2
    background = int(((cells - 4).norm(dim=1) > 9.2).sum())
    assert losses["loss/classification"].item() == pytest.approx(0.75 * (4 + background) / 4)
    # In each positive cell, two sides are 0 and two are 4 pixels away, in units of 50 pixels.
    assert losses["loss/box"].item() == pytest.approx(3 * 2 * (4 / 50) ** 2)


def test_the_box_with_the_highest_output_stays_even_if_several_are_beyond_1(head_with):
    logits = torch.full((16, 3), -2.0)
    logits[[5, 6, 9], 1] = torch.tensor([1.1, 1.5, 1.3])
    head = head_with(logits, torch.full((16, 4), 0.16))  # boxes of 16 x 16 around their cells
    detections = head.predict(FEATURES, torch.full((1, 2), 16.0))
    assert detections.counts.tolist() == [1]
    assert_close(detections.scores[0, 0], torch.tensor(0.8 + 0.2 * 0.7 / 0.9))
    assert_close(detections.boxes[0, 0], torch.tensor([2.0, 0, 16, 14]))


def test_outputs_of_0_or_less_are_no_detections(head_with):
    logits = torch.linspace(-2, 0, 48).view(16, 3)
    head = head_with(logits, torch.full((16, 4), 0.1))
    head.postprocess.score_threshold = 0.0
    assert head.predict(FEATURES, torch.full((1, 2), 16.0)).counts.tolist() == [0]
