"""Runs that torchrun and srun start: hosts in network namespaces, SLURM by its variables."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_several_devices import TINY, TWO, Command, detkit, steps, wait_for

from detkit.runs.metrics_logger import read_metrics

RUN = [sys.executable, "-m", "detkit.processes.run_frozen"]


def frozen(folder, *words):
    """The folder of a frozen run."""
    command = detkit(folder, "train", "--freeze", *words, "run_folder=run")
    code, said = command.wait()
    assert code == 0, said
    assert not (folder / "run/checkpoints").exists()
    return folder / "run"


@pytest.fixture
def hosts():
    """Two network namespaces with an address each, joined by a cable; their names and addresses."""
    names = [f"dk{os.getpid() % 10000}{side}" for side in "ab"]
    addresses = ["10.213.7.1", "10.213.7.2"]
    cable = [f"{name}v" for name in names]
    steps_to_make = [["netns", "add", name] for name in names]
    steps_to_make.append(["link", "add", cable[0], "type", "veth", "peer", "name", cable[1]])
    for name, end, address in zip(names, cable, addresses, strict=True):
        steps_to_make.append(["link", "set", end, "netns", name])
        steps_to_make.append(["-n", name, "addr", "add", f"{address}/24", "dev", end])
        steps_to_make += [["-n", name, "link", "set", each, "up"] for each in (end, "lo")]
    try:
        for words in steps_to_make:
            try:
                subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
            except FileNotFoundError:
                pytest.skip("there is no command ip, of the package iproute2")
            except subprocess.CalledProcessError as error:
                pytest.skip(f"no network namespaces here: ip {' '.join(words)}: {error.stderr}")
        yield list(zip(names, addresses, cable, strict=True))
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@pytest.mark.slow
def test_two_hosts_train_together_and_resume(tmp_path, hosts):
    run = frozen(tmp_path, *TINY, "trainer.num_nodes=2", "trainer.max_epochs=3")

    def start(host, is_host):
        name, address, cable = host
        words = ["ip", "netns", "exec", name, sys.executable, "-m", "torch.distributed.run"]
        words += ["--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d"]
        words += [f"--rdzv-endpoint={hosts[0][1]}:29400", f"--local-addr={address}"]
        words += [f"--rdzv-conf=is_host={is_host}", "-m", "detkit.processes.run_frozen", str(run)]
        return Command(words, tmp_path, GLOO_SOCKET_IFNAME=cable)

    both = [start(hosts[0], "true"), start(hosts[1], "false")]
    said = [command.wait() for command in both]
    assert [code for code, _ in said] == [0, 0], said
    assert steps(run) == list(range(6))
    assert (run / "metrics.json").is_file()
    assert "epoch 3/3" in said[0][1] + said[1][1]


@pytest.mark.slow
def test_torchrun_shows_the_error_of_the_failed_rank_and_resumes(tmp_path):
    faults = Path(__file__).with_name("fault_plugin.py")
    words = [f"plugins=[{faults}]", "+callbacks.fault.name=fault", "callbacks.fault.kind=user"]
    run = frozen(tmp_path, *TWO, *words)
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = Command(
        [*words, "-m", "detkit.processes.run_frozen", str(run)],
        tmp_path,
        DETKIT_PLUGINS=str(faults),
    )
    code, said = command.wait()
    assert code == 1
    assert "error of rank 1: the moon is full: train by day." in said
    assert "UserError: the moon is full" in said.rpartition("Root Cause")[2]

    wrong = [*words[:-1], "--nproc-per-node=1", "-m", "detkit.processes.run_frozen", str(run)]
    code, said = Command(wrong, tmp_path, DETKIT_PLUGINS=str(faults)).wait()
    assert code != 0
    assert "trainer.num_nodes=1 with trainer.devices=2 makes 2 processes, and 1 were" in said


def slurm_tasks(run, count):
    """Start one process per task with SLURM's variables, as srun does on one machine."""
    variables = {
        "SLURM_JOB_ID": "4242",
        "SLURM_JOB_NAME": "detkit",
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_NNODES": "1",
        "SLURM_NODEID": "0",
        "SLURM_NTASKS": str(count),
        "SLURM_NTASKS_PER_NODE": str(count),
        "SLURM_STEP_NUM_TASKS": str(count),
        "MASTER_PORT": str(20000 + os.getpid() % 10000),
    }
    numbers = ("SLURM_PROCID", "SLURM_LOCALID")
    return [
        Command([*RUN, str(run)], run.parent, **variables, **dict.fromkeys(numbers, str(task)))
        for task in range(count)
    ]


@pytest.mark.slow
def test_a_slurm_job_saves_before_its_time_limit_and_resumes_by_the_same_command(tmp_path):
    run = frozen(tmp_path, *TWO, "data.reader.train_images=120", "trainer.max_epochs=2")
    tasks = slurm_tasks(run, 2)
    wait_for(lambda: len(read_metrics(run / "metrics.csv")) > 3)
    for task in tasks:
        task.process.send_signal(signal.SIGUSR1)
    ends = [task.wait() for task in tasks]
    assert [code for code, _ in ends] == [138, 138], ends
    assert "saved: last.ckpt" in ends[0][1]
    assert ends[1][1].strip().startswith("rank 1: SIGUSR1: stopping after this step")
    before = len(steps(run))
    assert before < 60
    ends = [task.wait() for task in slurm_tasks(run, 2)]
    assert [code for code, _ in ends] == [0, 0], ends
    assert f"resuming in epoch 1, batch {before}" in ends[0][1]
    assert steps(run) == list(range(60))
