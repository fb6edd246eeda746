"""`detkit config schedule`: the rates of a training, as text and as JSON."""

import json

import pytest

from detkit.cli.config_schedule import plot
from detkit.cli.main import main

SMALL = ["data.reader.train_images=9", "data.batch_size=2", "trainer.max_epochs=5"]


def rates(capsys, *words):
    assert main(["config", "schedule", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)["learning_rates"]


def test_rates_cover_the_whole_batches_of_all_epochs(capsys):
    constant = ["scheduler=constant", "optimizer.learning_rate=0.1", "scheduler.warmup_steps=2"]
    found = rates(capsys, *SMALL, *constant, "scheduler.warmup_factor=0.5")
    assert found == pytest.approx([0.05, 0.075] + [0.1] * 18)  # 5 epochs of 4 batches


@pytest.mark.parametrize(
    ("word", "steps"), [("trainer.max_steps=7", 7), ("trainer.accumulate_grad_batches=3", 10)]
)
def test_limits_and_accumulation_change_the_number_of_steps(capsys, word, steps):
    assert len(rates(capsys, *SMALL, word)) == steps


def test_rates_are_scaled_to_the_images_of_a_step(capsys):
    words = ["optimizer.learning_rate=0.4", "optimizer.reference_batch=8", "scheduler=constant"]
    assert max(rates(capsys, *SMALL, *words)) == pytest.approx(0.1)


def test_the_plot_rises_and_falls_with_the_rate():
    lines = plot([0.0, 0.5, 1.0, 0.25])
    assert lines[0].endswith("|  █")
    assert lines[5].endswith("|  █")
    assert lines[6].endswith("| ██")
    assert lines[11].endswith("| ███")
    assert lines[-1] == "first 0, highest 1, last 0.25"


def test_the_command_prints_the_plot(capsys):
    assert main(["config", "schedule", *SMALL, "scheduler=step"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("scheduler step, 20 steps\n 1.00e-02 |")
    assert out.endswith("first 1e-05, highest 0.01, last 0.0001\n")


def test_minutes_have_no_known_number_of_steps(capsys):
    words = ["trainer.max_minutes=5", "trainer.max_epochs=null"]
    assert main(["config", "schedule", *SMALL, *words]) == 0
    assert "the plot assumes 1,000 steps" in capsys.readouterr().err
