"""Callback 'gradient_norms' keeps its family's contract, and draws its chart."""

from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from detkit import registry
from detkit.contracts import cases


@pytest.mark.parametrize("case", cases("callback", "gradient_norms", every=1), ids=str)
def test_contract(case):
    case()


def detector() -> torch.nn.Module:
    parts = {"backbone": torch.nn.Linear(1, 2), "head": torch.nn.Linear(2, 1)}
    made = torch.nn.ModuleDict(parts)
    for parameter in made.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    made["head"].bias.grad = None
    return made


def test_norms_by_hand_in_table_and_picture(tmp_path):
    callback = registry.get("callback", "gradient_norms")(run_folder=str(tmp_path), every=2)
    module = SimpleNamespace(detector=detector())
    for step in range(4):
        trainer = SimpleNamespace(global_step=step, is_global_zero=True)
        callback.on_before_optimizer_step(trainer, module, None)
    callback.on_train_epoch_end(trainer, module)
    table = (tmp_path / "gradient_norms.csv").read_text()
    rows = [line.split(",") for line in table.splitlines()[1:]]
    assert [row[:2] for row in rows] == [[p, s] for p in ("backbone", "head") for s in ("0", "2")]
    # sqrt(4 * 9) of the backbone's four values, sqrt(2 * 9) of the head's weight
    norms = [float(row[2]) for row in rows]
    assert norms == pytest.approx([6, 6, 18**0.5, 18**0.5])
    assert Image.open(tmp_path / "gradient_norms.png").size == (960, 540)
