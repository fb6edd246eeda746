"""The same seed gives a bit-identical run on the CPU; another seed gives another run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tiny_run import TINY

from detkit.cli.main import main

pytestmark = pytest.mark.usefixtures("blank_figures")


@pytest.fixture
def trained_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Train for one epoch; what a run sets in PyTorch is put back afterwards."""
    monkeypatch.chdir(tmp_path)

    def train(name: str, *words: str) -> Path:
        settings = ["trainer.max_epochs=1", f"run_folder={name}", *words]
        assert main(["train", *TINY, *settings]) == 0
        return tmp_path / name

    yield train
    torch.use_deterministic_algorithms(False)


def weights(run: Path) -> dict[str, torch.Tensor]:
    content = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    return {name: value.cpu() for name, value in content["state_dict"].items()}


def equal(first: Path, second: Path) -> bool:
    left, right = weights(first), weights(second)
    assert left.keys() == right.keys()
    return all(torch.equal(left[name], right[name]) for name in left)


# pain 24
def test_a_seed_decides_every_bit_of_a_run(trained_with: Callable[..., Path]) -> None:
    first, again = trained_with("a", "seed=3"), trained_with("b", "seed=3")
    assert equal(first, again)
    assert (first / "metrics.json").read_bytes() == (again / "metrics.json").read_bytes()
    assert not equal(first, trained_with("c", "seed=4"))
    assert json.loads((first / "environment.json").read_text())["seed"] == 3


@pytest.mark.parametrize(
    ("mode", "warns"), [("strict", False), pytest.param("warn", True, marks=pytest.mark.slow)]
)
# pain 24
@pytest.mark.slow
def test_a_deterministic_run_says_so_in_its_record(
    trained_with: Callable[..., Path], mode: str, warns: bool
) -> None:
    run = trained_with("a", f"trainer.deterministic={mode}")
    found = json.loads((run / "environment.json").read_text())["arithmetic"]
    assert found["deterministic"] is True
    assert found["deterministic_warn_only"] is warns
    assert found["cudnn_benchmark"] is False
