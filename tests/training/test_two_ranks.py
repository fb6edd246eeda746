import json

import pytest
import torch
from training_fakes import Batches, TinyDetector, TinyMetric
from two_rank_scripts import run_two_ranks

from detkit.runs.metrics_logger import read_metrics


@pytest.fixture(params=["ddp", "fsdp"])
def strategy(request):
    return request.param


def run(script, *arguments):
    result = run_two_ranks(script, *arguments)
    assert result.returncode == 0, result.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("shards", [[[4, 6], [5]], [[4], [5, 6, 4]]])
def test_two_ranks_validate_as_one(tmp_path, shards, strategy):
    # pains 15 and 16: uneven shards end, and the numbers equal one process's
    run("two_ranks.py", str(tmp_path), json.dumps(shards), strategy)
    first, second = (json.loads((tmp_path / f"rank{i}.json").read_text()) for i in range(2))
    first["scores"].pop("loss"), second["scores"].pop("loss")  # of each rank's own batches
    for report in (first, second):
        for part in ("loss/box", "loss/bias"):
            report["scores"].pop(part)
    assert first == second
    assert first["images"] == [8, 9, 10, 11, 12, 13]

    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    detector, metric = TinyDetector().eval(), TinyMetric()
    weights = {k.removeprefix("detector."): v for k, v in saved["state_dict"].items()}
    detector.load_state_dict(weights)
    with torch.no_grad():
        for batch in Batches(4, 5, 6):
            metric.update(batch.image_ids, detector.predict(batch), batch.original_targets)
    assert first["scores"]["val/AP"] == pytest.approx(metric.compute()["AP"], rel=1e-6)
    rows = read_metrics(tmp_path / "metrics.csv")
    assert [row["step"] for row in rows] == ["1", "1", "3", "3"]


@pytest.mark.slow
def test_two_ranks_stop_together_and_resume_bit_identically(tmp_path, strategy):
    # pain 18
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run("two_ranks_resumed.py", str(whole), "train", strategy)
    run("two_ranks_resumed.py", str(parts), "be stopped", strategy)
    run("two_ranks_resumed.py", str(parts), "resume", strategy)
    left, right = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
        for folder in (whole, parts)
    )
    for name, value in left["state_dict"].items():
        assert torch.equal(value, right["state_dict"][name]), name
    states = [[state["torch"] for state in content["random_states"]] for content in (left, right)]
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))
    assert not torch.equal(*states[0])  # each rank drops other units
    assert read_metrics(whole / "metrics.csv") == read_metrics(parts / "metrics.csv")
