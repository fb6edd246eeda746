"""Runs on two devices from the command line, as a user starts them; ranks talk through gloo."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import torch
import yaml

from detkit.runs.metrics_logger import read_metrics

FAULTS = Path(__file__).with_name("fault_plugin.py")
TINY = [
    *("model=fcos", "model/backbone=timm", "model.backbone.model=test_resnet"),
    *("model.neck.out_channels=16", "model.head.layers.convs=1", "callbacks=average"),
    *("data.reader.train_images=8", "data.reader.validation_images=5"),
    *("data.reader.image_size=96", "data.batch_size=2", "data.workers=0"),
    *("trainer.max_epochs=2", "trainer.log_every=1", "trainer.accelerator=cpu"),
]
TWO = [*TINY, "trainer.devices=2"]
MINUTE = 60.0


class Command:
    """A command with a mark in its environment, to find all its processes."""

    def __init__(self, words, folder, **environment):
        self.mark = uuid.uuid4().hex
        settings = {**os.environ, "OMP_NUM_THREADS": "1", "DETKIT_TEST_MARK": self.mark}
        self.process = subprocess.Popen(
            words,
            cwd=folder,
            env={**settings, **environment},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def wait(self):
        """The exit code and standard error, after all processes of the command have ended."""
        _, said = self.process.communicate(timeout=300)
        end = time.monotonic() + 30  # a busy machine reaps late
        while self.members() and time.monotonic() < end:
            time.sleep(0.1)
        assert self.members() == []
        return self.process.returncode, said

    def members(self):
        """Process ids."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (place / "environ").read_bytes():
                    found.append(int(place.name))
            except OSError:
                continue
        return found

    def rank(self, number):
        """The process id of a rank."""
        for member in self.members():
            try:
                variables = Path(f"/proc/{member}/environ").read_bytes().split(b"\0")
                words = Path(f"/proc/{member}/cmdline").read_bytes()
            except OSError:
                continue
            if f"RANK={number}".encode() in variables and b"detkit.processes.run_frozen" in words:
                return member
        raise AssertionError(f"there is no rank {number}")


def detkit(folder, *words, **environment):
    return Command([sys.executable, "-m", "detkit.cli.main", *words], folder, **environment)


def done(folder, *words):
    """Run a command that must succeed; return its standard error."""
    code, said = detkit(folder, *words).wait()
    assert code == 0, said
    return said


def steps(run):
    return [int(row["step"]) for row in read_metrics(run / "metrics.csv") if row["loss"]]


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_a_run_on_two_devices_is_one_run(tmp_path):
    # pains 15 and 16: the 5 images of the validation are 3 and 2 of the ranks
    words = ["data.validation_batch_size=1", "trainer.max_epochs=3", "trainer.precision=bf16"]
    said = done(tmp_path, "train", *TWO, *words, "run_folder=run")
    run = tmp_path / "run"
    assert said.count("run folder: ") == said.count("epoch 1/3 ") == 1
    assert (run / "train.log").read_text().count("run folder: ") == 1
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert {"curves.png", "report.html", "pictures/overview.jpg", "checkpoints/best.ckpt"} <= names
    assert steps(run) == list(range(6))
    measured = json.loads((run / "metrics.json").read_text())
    best = torch.load(run / "checkpoints/best.ckpt", weights_only=True)["global_step"] - 1
    (row,) = [
        row
        for row in csv.DictReader((run / "metrics.csv").open())
        if row["val/AP"] and int(row["step"]) == best
    ]
    for name, value in measured.items():
        if row.get(f"val/{name}"):
            assert float(row[f"val/{name}"]) == pytest.approx(value, rel=1e-6), name


# pain 5
@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("kind", "code", "says"),
    [
        ("error", 1, "error of rank {}: ValueError: the moon is full; all ranks were ended"),
        ("user", 2, "error of rank {}: the moon is full: train by day."),
        ("kill", 137, "error: rank {} was ended by SIGKILL"),
        ("exit", 3, "error: rank {} ended with exit code 3"),
    ],
)
def test_a_rank_that_fails_ends_all_with_its_own_error(tmp_path, rank, kind, code, says):
    words = ["+callbacks.fault.name=fault", f"callbacks.fault.rank={rank}"]
    words += [f"callbacks.fault.kind={kind}", f"plugins=[{FAULTS}]", "run_folder=run"]
    command = detkit(tmp_path, "train", *TWO, *words)
    wait_for((tmp_path / "run/checkpoints/last.ckpt").is_file)
    start = time.monotonic()
    found, said = command.wait()
    assert time.monotonic() - start < MINUTE
    assert found == code, said
    last = said.strip().splitlines()[-1]
    assert last.startswith(says.format(rank)), said
    assert "gloo" not in said
    assert said.count("Traceback") == (kind == "error")
    if kind != "user":
        assert f"resume with: detkit train ckpt={tmp_path}/run" in last


@pytest.mark.slow
def test_two_devices_stop_at_a_signal_and_resume_with_one(tmp_path):
    run = tmp_path / "run"
    long = [*TWO, "data.reader.train_images=120", "trainer.max_epochs=4", "run_folder=run"]
    command = detkit(tmp_path, "train", *long)
    wait_for(lambda: len(read_metrics(run / "metrics.csv")) > 3)
    os.killpg(command.process.pid, signal.SIGINT)  # as a terminal does: command and guard get it
    code, said = command.wait()
    assert code == 130
    assert said.count("stopping after this step") == 1
    assert "Traceback" not in said
    assert "resume with: detkit train ckpt=run" in said

    code, said = detkit(tmp_path, "train", "ckpt=run", "trainer.devices=1").wait()
    assert code == 2
    assert "batches had 4 images over all devices" in said
    assert "set data.batch_size=4" in said
    words = ["ckpt=run", "trainer.devices=1", "data.batch_size=4", "trainer.max_epochs=2"]
    said = done(tmp_path, "train", *words)
    assert "changed: trainer.devices: 2 -> 1 (results are no longer bit-identical" in said
    assert steps(run) == list(range(60))


@pytest.mark.slow
def test_a_resumed_run_takes_the_same_batches_on_other_devices(tmp_path, monkeypatch):
    # Group norm does not depend on how a batch is divided, so the weights tell.
    monkeypatch.setenv("DETKIT_PLUGINS", str(FAULTS))
    words = [word for word in TINY if "backbone" not in word]
    words += ["model/backbone=resnet18", "model.backbone.norm=group", "callbacks.ema=null"]
    words += ["trainer.max_epochs=3", "data.reader.train_images=16"]
    stopped = ["+callbacks.fault.name=fault", "callbacks.fault.rank=0", "callbacks.fault.kind=stop"]
    ways = {1: ["trainer.devices=1", "data.batch_size=4"], 2: ["trainer.devices=2"]}
    done(tmp_path, "train", *words, *ways[1], "run_folder=whole")
    whole = weights(tmp_path / "whole")
    for before, after, where in ((1, 2, "in epoch 2, batch 2"), (2, 1, "at the start of epoch 3")):
        run = f"{before}to{after}"
        command = detkit(tmp_path, "train", *words, *ways[before], *stopped, f"run_folder={run}")
        code, said = command.wait()
        assert code == 143, said
        said = done(tmp_path, "train", f"ckpt={run}", "data.batch_size=2", *ways[after])
        assert f"resuming {where}" in said
        assert steps(tmp_path / run) == list(range(12))
        for name, value in weights(tmp_path / run).items():
            # Sums in another order, over 12 steps.
            torch.testing.assert_close(value, whole[name], rtol=1e-3, atol=1e-5, msg=name)


def weights(run):
    content = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    return content["state_dict"]


@pytest.mark.slow
def test_multirun_runs_each_job_on_two_devices(tmp_path):
    # pain 4
    done(tmp_path, "train", "-m", "seed=1,2", *TWO, "hydra.sweep.dir=sweep", "trainer.max_epochs=1")
    runs = [path.parent for path in (tmp_path / "sweep").rglob("metrics.json")]
    assert [steps(run) for run in runs] == [[0, 1], [0, 1]]
    configurations = [yaml.safe_load((run / "config.yaml").read_text()) for run in runs]
    assert sorted(config["seed"] for config in configurations) == [1, 2]
    assert len(list((tmp_path / "sweep").rglob("metrics.csv"))) == 2


@pytest.mark.slow
def test_ranks_train_what_is_not_frozen_with_the_batch_size_that_was_decided(tmp_path):
    words = ["freeze=backbone", "data.batch_size=auto", "data.reader.train_images=40"]
    said = done(tmp_path, "train", *TWO, *words, "seed=0", "run_folder=run")
    assert said.count("data.batch_size=auto: 2 images, so that an epoch of 40 images has") == 1
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["data"]["batch_size"] == 2
    content = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    moments = content["optimizer_states"][0]["state"]
    weights = content["state_dict"]
    trained = [name for name in weights if not name.startswith("detector.backbone.")]
    batches = [value for name, value in weights.items() if name.endswith("num_batches_tracked")]
    assert len(moments) == len(trained)  # all of them parameters
    assert batches
    assert not any(batches)


@pytest.mark.slow
def test_two_devices_unfreeze_parts_as_one_does(tmp_path):
    # Group norm does not depend on how a batch is divided, so the weights tell.
    words = [word for word in TINY if "backbone" not in word]
    words += ["model/backbone=resnet18", "model.backbone.norm=group", "callbacks.ema=null"]
    words += ["freeze={parts:[backbone],until:1}", "trainer.max_epochs=3"]
    done(tmp_path, "train", *words, "trainer.devices=1", "data.batch_size=4", "run_folder=one")
    said = done(tmp_path, "train", *words, "trainer.devices=2", "run_folder=two")
    assert said.count("freeze: all parameters train from epoch 2 on") == 1
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, value in two.items():
        # Sums in another order, over 6 steps.
        torch.testing.assert_close(value, one[name], rtol=1e-3, atol=1e-5, msg=name)

    done(tmp_path, "train", *words, "trainer.devices=2", "trainer.max_epochs=1", "run_folder=short")
    frozen = weights(tmp_path / "short")
    backbone = [name for name in frozen if "backbone" in name]
    assert not any(torch.equal(two[name], frozen[name]) for name in backbone)
