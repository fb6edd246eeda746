"""Progress: lines outside a terminal, a status line no wider than the terminal inside."""

import re

import pytest
from training_fakes import Batches, TinyDetector, batches, cpu_trainer, tiny_module

from detkit.terminal import CLEAR
from detkit.training.callbacks.progress import Progress, fitted
from detkit.training.fit import fit


def train(folder, progress, epochs=2, detector=None):
    trainer = cpu_trainer(folder, callbacks=[progress], max_epochs=epochs)
    changes = {} if detector is None else {"detector": detector}
    fit(tiny_module(**changes), trainer, batches(2), Batches(3))


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr("detkit.training.callbacks.progress.is_terminal", lambda stream: True)
    monkeypatch.setattr("detkit.terminal.is_terminal", lambda stream: True)


def test_a_line_per_epoch_outside_a_terminal(tmp_path, capsys):
    train(tmp_path, Progress())
    printed = capsys.readouterr()
    first, second = printed.err.splitlines()
    number = r"-?\d+\.\d{3}"
    assert re.fullmatch(
        rf"epoch 1/2  AP {number}  AP50 {number}  \d s left  loss {number}  "
        rf"[\d.]+ images/s  box {number}  bias {number}  lr \S+e-\d\d",
        first,
    )
    assert second.startswith("epoch 2/2  AP ")
    assert "left" not in second
    assert "\r" not in printed.err
    assert printed.out == ""


def test_long_epochs_and_validations_show_signs_of_life_outside_a_terminal(tmp_path, capsys):
    train(tmp_path, Progress(line_seconds=1e-9), epochs=1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("epoch 1/1 batch 1/2, measuring the pace, loss ")
    assert re.match(r"epoch 1/1 batch 2/2, \d s left, loss ", lines[1])
    assert lines[2].startswith("epoch 1/1 validating 1/1, ")


def test_the_status_line_shows_counts_and_time_left(tmp_path, terminal, capsys):
    train(tmp_path, Progress(refresh_seconds=1e-9), epochs=1)
    shown = capsys.readouterr().err
    assert re.search(r"\r\S*epoch 1/1 \[##########\] 2/2, \d s left, loss ", shown)
    assert "epoch 1/1 validating 1/1, " in shown


def test_the_status_line_explains_the_wait_for_the_first_step(tmp_path, terminal, capsys):
    train(tmp_path, Progress(), epochs=1)
    waiting, step, *_ = capsys.readouterr().err.split(CLEAR)[1:]
    assert waiting == "loading images for the first batch"
    assert step == "epoch 1/1 [----------] 0/2, first step"


def test_messages_do_not_land_in_the_status_line(tmp_path, terminal, capsys):
    class Printing(TinyDetector):
        def loss(self, batch):
            print("a message")
            return super().loss(batch)

    train(tmp_path, Progress(refresh_seconds=1e-9), detector=Printing())
    printed = capsys.readouterr()
    assert printed.out == "a message\n" * 4
    cursor_starts = [piece for piece in printed.err.split("\n") if piece]
    assert all(piece.startswith((CLEAR, "epoch")) for piece in cursor_starts)
    assert printed.err.count("\n") == 2
    assert printed.err.endswith(CLEAR)


def test_a_line_holds_as_many_parts_as_fit_whole():
    parts = ["12 min left", "loss 1.234", "9.9 images/s"]
    assert fitted("epoch 1/2", parts, 33) == "epoch 1/2, 12 min left"
    assert fitted("epoch 1/2", parts, 34) == "epoch 1/2, 12 min left, loss 1.234"
    assert fitted("epoch 1/2", parts, 5) == "epoch 1/2, 12 min left"
    assert fitted("epoch 1/2", parts, None).endswith("images/s")


def test_the_mean_loss_of_the_epoch_is_shown(tmp_path, capsys):
    class Counting(TinyDetector):
        def loss(self, batch):
            return {"loss/box": self.head.bias.sum() * 0 + batch.image_ids[0]}

    train(tmp_path, Progress(), epochs=1, detector=Counting())
    assert "loss 1.000  " in capsys.readouterr().err  # of 0 and 2
