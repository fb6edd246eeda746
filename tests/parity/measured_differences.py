"""Assert that values are close, and record the largest difference for docs/weights.md."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from torch import Tensor

# scripts/weights_page.py sets it to the file that collects the records, one JSON object a line.
RECORDS = "DETKIT_MEASURED_DIFFERENCES"


def assert_equal_within(
    actual: Tensor, expected: Tensor, tolerance: float, *, source: str, detector: str, compared: str
) -> None:
    """Assert that no value differs by more than a tolerance.

    Args:
        actual: Values of detkit.
        expected: Values of the other library.
        tolerance: Largest absolute difference.
        source: The other library.
        detector: The detector.
        compared: What the values are, with their unit.
    """
    assert actual.shape == expected.shape
    assert actual.numel()
    difference = (actual.double() - expected.double()).abs().max().item()
    if os.environ.get(RECORDS):
        record = {
            "source": source,
            "detector": detector,
            "compared": compared,
            "difference": difference,
        }
        with Path(os.environ[RECORDS]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)
