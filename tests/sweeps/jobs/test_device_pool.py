"""Jobs of a pool: on devices of their own, ended with the pool, recorded whatever they do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from detkit.config.sweep_options import read_device_pool
from detkit.errors import ConfigError, Stopped
from detkit.sweeps.jobs import devices
from detkit.sweeps.jobs.device_pool import DevicePool
from detkit.sweeps.jobs.devices import devices_text, find_devices, variables
from detkit.sweeps.jobs.job import Job, JobTakenError

# What jobs do here instead of training: they leave their variables and cores, and end as they are
# told to by their name.
CHILD = """
import json, os, sys, time
folder, name = sys.argv[1:]
seen = [sorted(os.sched_getaffinity(0)), os.environ.get("CUDA_VISIBLE_DEVICES"), dict(os.environ)]
json.dump([*seen, time.time()], open(f"{folder}/seen.json", "w"))
print("x" * 100)
if name == "bad":
    raise ValueError("no such luck")
time.sleep(60 if name == "long" else 0.3)
json.dump([*seen, time.time()], open(f"{folder}/end.json", "w"))
"""


def make(folder: Path, name: str, gpus: int = 1) -> Job:
    place = folder / name
    place.mkdir()
    content = {"trainer": {"devices": gpus}, "plugins": ["mine.py"]}
    (place / "config.yaml").write_text(yaml.safe_dump(content))
    job = Job(place, "0" * 8, [f"seed={name}"])
    job.save()
    return job


def child(job: Job) -> list[str]:
    return [sys.executable, "-c", CHILD, str(job.folder), job.folder.name.rstrip("0123456789")]


def drain(pool: DevicePool, waiting: list[Job]) -> int:
    """Run jobs to their end; return the maximum number at once."""
    most = 0
    while waiting or pool.running:
        pool.ended()
        while waiting and pool.free > 0:
            pool.start(waiting.pop(0))
        most = max(most, len(pool.running))
        time.sleep(0.05)
    return most


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "visible_gpus", lambda: ["0", "GPU-b"])


# pain 5
def test_no_device_has_more_jobs_than_it_may_and_jobs_see_no_other(
    tmp_path: Path, two_gpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.setenv(name, "7")
    jobs = [make(tmp_path, f"short{number}") for number in range(6)]
    with DevicePool(read_device_pool({"jobs_per_device": 2}), command=child) as pool:
        assert pool.free == 4
        assert drain(pool, list(jobs)) == 4
    spans = []
    for job in jobs:
        (_, gpu, seen, began), end = (
            yaml.safe_load((job.folder / name).read_text()) for name in ("seen.json", "end.json")
        )
        assert not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "SLURM_STEP_NUM_TASKS"} & set(seen)
        assert seen["DETKIT_PLUGINS"].split(":")[-1] == "mine.py"
        spans.append((gpu, began, end[3]))
        assert Job.load(job.folder).state == "done"
    assert {gpu for gpu, _, _ in spans} == {"0", "GPU-b"}
    for gpu, began, _ in spans:
        at_once = [s for s in spans if s[0] == gpu and s[1] <= began < s[2]]
        assert len(at_once) <= 2


def test_a_job_may_have_several_gpus(tmp_path: Path, two_gpus: None) -> None:
    with DevicePool(read_device_pool({}), width=2, command=child) as pool:
        assert pool.free == 1
        pool.start(make(tmp_path, "long", gpus=2))
        assert pool.free == 0
        assert pool.running[0].devices == "GPU 0 and GPU-b"
    assert Job.load(tmp_path / "long").state == "stopped"


# pain 5
def test_cores_are_split_into_disjoint_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(2, 9)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    sets = list(find_devices(read_device_pool({"devices": "cpu", "jobs_per_device": 3}), 1, True))
    cores = [core for each in sets for core in each.cores]
    assert sorted(cores) == list(range(2, 9))
    assert len(cores) == len(set(cores))
    assert [devices_text([each]) for each in sets] == ["cores 2-3", "cores 4-5", "cores 6-8"]
    assert variables(sets[2:], 1) == {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "3"}
    with pytest.raises(ConfigError, match=r"jobs_per_device=8: .* may use 7 of them"):
        find_devices(read_device_pool({"jobs_per_device": 8}), 1, True)


@pytest.mark.parametrize(
    ("given", "width", "said"),
    [
        ({"devices": [5]}, 1, "there is no GPU 5; available: 0, GPU-b"),
        ({}, 3, "trainer.devices=3: the device pool has only 2 (0, GPU-b)"),
        ({"jobs_per_devise": 2}, 1, "hydra.launcher.jobs_per_devise: unknown key. Did you mean"),
        ({"jobs_per_device": "two"}, 1, "hydra.launcher.jobs_per_device: expected int > 0"),
    ],
)
def test_wrong_settings_are_named(two_gpus: None, given: dict, width: int, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        find_devices(read_device_pool(given), width, False)
    assert said in str(error.value)


def test_a_failed_job_is_recorded_and_the_remaining_jobs_continue(tmp_path: Path) -> None:
    jobs = [make(tmp_path, name) for name in ("bad", "short")]
    with DevicePool(read_device_pool({"devices": "cpu"}), command=child) as pool:
        drain(pool, list(jobs))
    bad, short = (Job.load(job.folder) for job in jobs)
    assert (bad.state, bad.exit_code, bad.error) == ("failed", 1, "ValueError: no such luck")
    assert (short.state, short.exit_code, short.error) == ("done", 0, None)


def test_a_job_is_run_by_one_pool_only(tmp_path: Path) -> None:
    job = make(tmp_path, "long")
    settings = read_device_pool({"devices": "cpu"})
    with DevicePool(settings, command=child) as pool, DevicePool(settings, command=child) as other:
        pool.start(job)
        assert Job.load(job.folder).state == "running"
        with pytest.raises(JobTakenError):
            other.start(Job.load(job.folder))
        pool.stop(job, "pruned")
    assert Job.load(job.folder).state == "pruned"
    with DevicePool(settings, command=child) as pool, pytest.raises(JobTakenError):
        pool.start(job)


def test_a_signal_stops_all_jobs_and_starts_no_other(tmp_path: Path) -> None:
    jobs = [make(tmp_path, "long1"), make(tmp_path, "long2")]
    with DevicePool(read_device_pool({"devices": "cpu"}), command=child) as pool:
        pool.start(jobs[0])
        os.kill(os.getpid(), signal.SIGTERM)
        assert pool.free == 0
        with pytest.raises(Stopped):
            pool.ended()
    assert [Job.load(job.folder).state for job in jobs] == ["stopped", "waiting"]


# pain 5
def test_devices_of_a_killed_pool_are_free_again(tmp_path: Path) -> None:
    make(tmp_path, "long")
    starter = (
        "import sys, time; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from test_device_pool import *\n"
        "with DevicePool(read_device_pool({'devices': 'cpu'}), command=child) as pool:\n"
        "    pool.start(Job.load(Path(sys.argv[1])))\n"
        "    time.sleep(60)\n"
    )
    words = [sys.executable, "-c", starter, str(tmp_path / "long"), str(Path(__file__).parent)]
    with subprocess.Popen(words) as process:
        end = time.monotonic() + 60
        while not (tmp_path / "long/seen.json").exists() and time.monotonic() < end:
            time.sleep(0.05)
        assert Job.load(tmp_path / "long").state == "running"
        process.kill()
    end = time.monotonic() + 20
    while Job.load(tmp_path / "long").state == "running" and time.monotonic() < end:
        time.sleep(0.05)
    job = Job.load(tmp_path / "long")
    assert job.state == "stopped"
    assert job.ended is not None
