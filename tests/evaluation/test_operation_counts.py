"""The number of predictions of one image, by level."""

import pytest
from operation_pages import detector_of, small_words
from torch import nn

from detkit.evaluation.operation_counts import predictions_by_level


@pytest.mark.parametrize(("page", "counts"), [("fcos", [64, 16, 4, 1, 1]), ("detr", [100])])
def test_priors_of_each_level_or_queries_are_counted(page, counts):
    detector = detector_of(page, *small_words(page)).to("meta").eval()
    assert predictions_by_level(detector, detector.head, (64, 64)) == counts


def test_a_head_with_neither_has_no_count():
    assert predictions_by_level(nn.Identity(), nn.Identity(), (64, 64)) is None
