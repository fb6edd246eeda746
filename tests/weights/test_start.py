"""Whether weights fit a detector, before any data is read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from weight_fakes import tiny_detector, tiny_model

from detkit.weights.start import refuse_foreign_weights


@pytest.mark.slow
def test_class_weights_of_the_data_do_not_refuse_weights(tmp_path: Path) -> None:
    torch.save(tiny_detector("abc").state_dict(), tmp_path / "weights.pth")
    weights = "model.head.classification_loss.class_weights={dog: 2}"
    model = tiny_model("retinanet", weights)
    refuse_foreign_weights(str(tmp_path / "weights.pth"), model)
