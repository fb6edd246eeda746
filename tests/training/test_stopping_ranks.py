"""When one rank has a reason to stop, all stop, and say the same."""

import json
import re
from pathlib import Path

import pytest
import torch
from training_fakes import TinyDetector
from two_rank_scripts import run_two_ranks


@pytest.fixture(params=["ddp", "fsdp"])
def strategy(request):
    return request.param


def run(folder: Path, case: str, strategy: str) -> list[str]:
    """Run a case on two ranks and return the error of each."""
    done = run_two_ranks("two_ranks_stop.py", str(folder), case, strategy)
    files = [folder / f"rank{rank}.json" for rank in range(2)]
    assert all(file.exists() for file in files), done.stderr[-3000:]
    return [json.loads(file.read_text()) for file in files]


# pain 13
@pytest.mark.slow
def test_all_ranks_stop_and_the_one_with_the_fault_saves(tmp_path, strategy):
    first, second = run(tmp_path, "loss", strategy)
    assert first == second
    assert "the loss of step 2 (epoch 1) of rank 1 is nan" in first
    (path,) = (tmp_path / "non_finite").iterdir()
    assert path.name == "step_000002_rank1.pt"
    saved = torch.load(path, weights_only=True)["state_dict"]
    assert {name: value.shape for name, value in saved.items()} == {
        f"detector.{name}": value.shape for name, value in TinyDetector().state_dict().items()
    }


@pytest.mark.slow
def test_a_gradient_that_one_rank_spoils_is_found_on_both(tmp_path, strategy):
    first, second = run(tmp_path, "gradient", strategy)
    assert first == second
    assert "the gradient of step 2 (epoch 1) of rank 1 has the norm nan" in first
    assert "gradients of 1 of 6 parameters are not finite" in first
    assert "head.weight" in first


# pain 12
@pytest.mark.slow
def test_a_label_out_of_range_on_one_rank_stops_both(tmp_path, strategy):
    first, second = run(tmp_path, "range", strategy)
    assert first == "DataError: a batch of another rank holds an object that is out of range."
    assert "label 9 is not in 0..1" in second


# pain 15
@pytest.mark.slow
def test_unused_parameters_end_the_training_by_name(tmp_path, strategy):
    for said in run(tmp_path, "unused", strategy):
        assert re.match(
            r"UserError: 2 parameters got no gradient in (the first )?step .*rank", said
        )
        assert ": extra (2)" in said
