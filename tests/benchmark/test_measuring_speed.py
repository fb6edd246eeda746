"""Measures the loader in rounds and the parts of the step, and leaves nothing behind."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny_run import TINY

from detkit.benchmark.loading import endless, loader_times
from detkit.benchmark.machine import machine_of, peak_memory
from detkit.benchmark.stepping import StepTimes
from detkit.benchmark.timing import Times
from detkit.cli.completion import ROOTS
from detkit.cli.main import main
from detkit.config.compose import compose

WORDS = [*TINY, "trainer.accelerator=cpu", "steps=2"]


def test_times_show_middle_and_spread() -> None:
    times = Times((3.0, 1.0, 2.0))
    assert (times.median, times.low, times.high) == (2.0, 1.0, 3.0)


def test_whole_step_has_its_share_of_the_optimizer() -> None:
    parts = StepTimes(Times((1.0, 2.0)), Times((3.0, 3.0)), Times((4.0, 8.0)), accumulated=4)
    assert parts.whole.seconds == (5.0, 7.0)


def test_a_round_of_the_loader_is_a_batch_of_each_worker() -> None:
    taken: list[int] = []

    def batches():
        for number in endless([range(4)]):
            taken.append(len(number))
            yield number

    times = loader_times(SimpleNamespace(num_workers=3), batches(), 2)  # type: ignore[arg-type]
    assert len(times.seconds) == 2
    assert len(taken) == (3 + 2) * 3


def test_epochs_come_again() -> None:
    found = endless([1, 2])
    assert [next(found) for _ in repeat(None, 5)] == [1, 2, 1, 2, 1]


def test_this_machine_is_described() -> None:
    machine = machine_of(torch.device("cpu"))
    assert machine.cores >= 1
    assert machine.memory is None
    assert machine.text().startswith("cpu: ")
    assert (peak_memory(torch.device("cpu")) or 2**20) >= 2**20


def test_configuration_is_that_of_a_training_and_steps() -> None:
    words = ["experiment=demo", "seed=3", "trainer.max_epochs=2"]
    config = compose("benchmark", words)
    trained = compose("train", words)
    assert config.pop("steps") == 10
    assert {**config, "run_folder": ""} == {**trained, "run_folder": ""}
    assert ROOTS["benchmark"] == ("Benchmark", "train")


def test_errors_equal_a_training(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["model=fcos", "model.head.layers.convs=many"]
    assert main(["train", *words]) == 2
    told = capsys.readouterr().err
    assert main(["benchmark", *words]) == 2
    assert capsys.readouterr().err == told
    assert main(["benchmark", "steps=0"]) == 2
    assert "steps: expected int > 0, got 0 (int). (command line)" in capsys.readouterr().err


def test_no_run_is_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "ckpt=RUN"]) == 2
    assert "ckpt=... resumes a run, but detkit benchmark trains none" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("more", [["data.workers=0"], ["data.workers=2", "data.batch_size=4"]])
def test_a_small_data_set_is_measured_and_nothing_is_kept(
    more: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", *WORDS, *more]) == 0
    shown = capsys.readouterr().out
    for row in (
        "loader, ",
        "one process",
        "backward",
        "loader and step together",
        "post-processing",
    ):
        assert f"\n  {row}" in shown
    assert "is the slowest stage: " in shown
    assert [path.name for path in tmp_path.iterdir()] == ["datasets"]


@pytest.mark.slow
def test_missing_accelerator_and_data_set_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert main(["benchmark", *WORDS, "trainer.accelerator=gpu"]) == 2
    assert "trainer.accelerator=gpu: PyTorch finds no GPU here" in capsys.readouterr().err
    assert main(["benchmark", *WORDS, "data=folder", "data.path=nowhere"]) == 2
