"""`detkit sweep` for users: a failing job, a kill in the middle, wrong words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_run import TINY

from detkit.cli.main import main
from detkit.runs.metrics_logger import read_metrics
from detkit.sweeps.jobs.job import Job
from detkit.sweeps.jobs.sweep_folder import SweepFolder

BROKEN = '''
from torch import Tensor, nn
from detkit import Wired, register
from detkit.structures import FeatureSpec


@register("neck", "broken")
class Broken(nn.Module):
    """Passes features through and breaks in the second training step."""

    def __init__(self, *, feature_specs: Wired[list[FeatureSpec]], out_channels: int = 16) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(s.channels, out_channels, 1) for s in feature_specs)
        self.feature_specs = [FeatureSpec(out_channels, s.stride) for s in feature_specs]
        self.steps = 0

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        self.steps += self.training and features[0].device.type != "meta"
        if self.steps > 1:
            raise RuntimeError("out of luck")
        return [conv(feature) for conv, feature in zip(self.convs, features)]
'''
LONGER = [*TINY, "data.reader.train_images=60", "callbacks.pictures=null"]


def job_of(folder: Path, seed: int, neck: str) -> Job:
    words = [f"seed={seed}", f"model/neck={neck}"]
    return next(job for job in SweepFolder.open(folder).load() if job.words == words)


def wait_until(condition, process: subprocess.Popen) -> None:
    end = time.monotonic() + 400
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)


# pains 5 and 18
@pytest.mark.slow
def test_a_killed_sweep_resumes_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/broken.py").write_text(BROKEN)
    words = ["sweep", "seed=1,2", "model/neck=fpn,broken", *LONGER, "hydra.sweep.dir=grid"]
    command = [sys.executable, "-m", "detkit.cli.main", *words]

    def steps() -> int:
        half = job_of(tmp_path / "grid", 2, "fpn").folder / "metrics.csv"
        return len(read_metrics(half)) if half.is_file() else 0

    with subprocess.Popen(command) as process:
        wait_until((tmp_path / "grid/sweep.json").is_file, process)
        wait_until(lambda: bool(SweepFolder.open(tmp_path / "grid").jobs), process)
        wait_until(lambda: steps() > 2, process)
        process.send_signal(signal.SIGKILL)
    half = job_of(tmp_path / "grid", 2, "fpn")
    end = time.monotonic() + 60
    while not half.is_free() and time.monotonic() < end:
        time.sleep(0.1)
    states = [job.state for job in SweepFolder.open(tmp_path / "grid").load()]
    assert states == ["done", "failed", "stopped", "waiting"]
    saved = half.folder / "checkpoints/last.ckpt"
    stopped_at = torch.load(saved, weights_only=True)["global_step"]
    assert 0 < stopped_at < 30

    done = subprocess.run(
        [*command[:3], "sweep", "resume", "grid"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "failed: seed=1 model/neck=broken: RuntimeError: out of luck" in done.stdout
    assert "2 done, 2 failed" in done.stdout
    jobs = SweepFolder.open(tmp_path / "grid").load()
    assert [job.attempts for job in jobs] == [1, 1, 2, 1]
    assert "resuming in epoch" in half.output.read_text()

    alone = [*command[:3], "train", "seed=2", *LONGER, "run_folder=alone"]
    assert (
        subprocess.run(alone, env={**os.environ}, capture_output=True, check=False).returncode == 0
    )
    first, second = tmp_path / "alone", half.folder
    assert (first / "metrics.json").read_bytes() == (second / "metrics.json").read_bytes()
    rows = [read_metrics(run / "metrics.csv") for run in (first, second)]
    assert rows[0] == rows[1]
    weights = [
        torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for run in (first, second)
    ]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])

    again = subprocess.run(
        [*command[:3], "sweep", "resume", "grid"], capture_output=True, text=True, check=False
    )
    assert again.returncode == 1
    assert [job.attempts for job in SweepFolder.open(tmp_path / "grid").load()] == [1, 1, 2, 1]


def test_wrong_words_start_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for words, said in (
        (
            ["run_folder=x"],
            "run_folder: the device pool names each job's folder after its overrides",
        ),
        (["hydra.launcher.jobs=2"], "hydra.launcher.jobs: unknown key"),
        (["optimizer.momentum=interval(0,1)"], "has no values to list"),
        (["model/neck=fpn,nope"], "(job seed=1 model/neck=nope) The other 2 jobs can run"),
        (["trainer.num_nodes=2"], "trainer.num_nodes: jobs of a sweep train on one machine"),
    ):
        assert main(["sweep", "seed=1,2", *words]) == 2
        assert said in capsys.readouterr().err
    assert main(["sweep", "resume", "nowhere"]) == 2
    assert "nowhere: is no folder of a sweep" in capsys.readouterr().err
    assert main(["sweep", "resume", "a", "seed=1"]) == 2
    assert "takes one folder, --failed" in capsys.readouterr().err
    assert not list(tmp_path.rglob("sweep.json"))


def test_a_sweep_with_skip_bad_omits_invalid_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    started: list[Job] = []
    monkeypatch.setattr(
        "detkit.sweeps.jobs.run_jobs.run", lambda _, jobs, pool: started.extend(jobs)
    )
    page = tmp_path / "conf/experiment/mine.yaml"
    page.parent.mkdir(parents=True)
    page.write_text("# @package _global_\nhydra: {sweeper: {params: {seed: '3,4'}}}\n")
    words = ["--skip-bad", "experiment=mine", "model=fcos", "model/neck=nope,pan"]
    assert main(["sweep", *words, "hydra.sweep.dir='my grid'"]) == 0
    assert [job.words for job in started] == [[f"seed={seed}", "model/neck=pan"] for seed in (3, 4)]
    shown = capsys.readouterr()
    assert "left out: model/neck: there is no neck 'nope'" in shown.err
    assert "resume with: detkit sweep resume 'my grid'" in shown.out
