"""A full disk, a read-only folder, a lost worker, a folder in use: one line, nothing lost."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset
from training_fakes import Batches, batches, cpu_trainer, tiny_module

from detkit.errors import DataError, UserError
from detkit.processes.failures import WorkerDiedError, plain_failures, plain_worker_failures
from detkit.runs.checkpoint_writer import CheckpointFile
from detkit.runs.training_lock import training_lock
from detkit.training.callbacks.checkpoints import Checkpoints
from detkit.training.fit import fit


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 300 kB, if the system lets us mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a small disk can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def train(folder, epochs):
    checkpoints = Checkpoints(run_folder=str(folder))
    trainer = cpu_trainer(folder, max_epochs=epochs, callbacks=[checkpoints])
    with plain_failures(folder):
        fit(tiny_module(), trainer, batches(2), Batches(3))
    return checkpoints


def test_full_disk_keeps_the_last_checkpoint(small_disk):
    checkpoints = train(small_disk, 1)
    before = checkpoints.last_path.read_bytes()
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free))
    with pytest.raises(UserError, match=r"No space left on device\. Make room\. .* is kept"):
        train(small_disk, 2)
    assert checkpoints.last_path.read_bytes() == before
    assert torch.load(checkpoints.last_path, weights_only=True)["epoch"] == 0


@pytest.mark.parametrize("floats", [1_000, 200_000])
def test_checkpoint_that_does_not_fit_is_an_error_of_the_disk(small_disk, floats):
    free = shutil.disk_usage(small_disk).free
    (small_disk / "filler").write_bytes(bytes(max(0, free - 8192)))
    checkpoint = {"weights": torch.zeros(floats), "more": torch.zeros(10_000)}
    with pytest.raises(OSError, match="No space left") as full:
        CheckpointFile().save_checkpoint(checkpoint, small_disk / "last.part")
    assert full.value.errno == errno.ENOSPC


def test_folder_that_became_read_only_is_named(tmp_path):
    refused = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "metrics.csv"))
    message = r"metrics\.csv: cannot be written: Permission denied"
    with pytest.raises(UserError, match=message), plain_failures(tmp_path):
        raise refused


def test_faults_of_the_code_keep_their_traceback(tmp_path):
    elsewhere = PermissionError(errno.EACCES, "Permission denied", "/somewhere/else")
    for fault in (elsewhere, RuntimeError("shapes differ"), OSError(errno.EIO, "broken")):
        with pytest.raises(type(fault)) as raised, plain_failures(tmp_path):
            raise fault
        assert raised.value is fault


class Refused(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, position):
        raise DataError("photo.jpg: cannot be read: save it again.")


def test_error_of_the_user_that_a_worker_raises_is_one_line(tmp_path):
    message = r"^photo\.jpg: cannot be read: save it again\.$"
    with pytest.raises(DataError, match=message), plain_failures(tmp_path):
        list(DataLoader(Refused(), num_workers=1))


# PyTorch raises the death of a worker wherever the main process is, so it has one of its own here.
KILLED = """
import os, signal, sys
from pathlib import Path
from torch.utils.data import DataLoader, Dataset
from detkit.errors import UserError
from detkit.processes.failures import plain_failures

class Killed(Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, position):
        os.kill(os.getpid(), signal.SIGKILL)

try:
    with plain_failures(Path(sys.argv[1])):
        list(DataLoader(Killed(), num_workers=1))
except UserError as error:
    print(error)
"""


def run_python(script, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_killed_worker_is_one_line(tmp_path):
    said, _ = run_python(KILLED, str(tmp_path)).communicate()
    assert "a loader process has died (DataLoader worker" in said
    assert "lower data.workers, data.batch_size" in said


def test_memory_is_blamed_only_for_a_signal_that_may_mean_it():
    killed = "DataLoader worker (pid 7) is killed by signal: "
    with pytest.raises(WorkerDiedError, match="ran out of memory"), plain_worker_failures():
        raise RuntimeError(killed + "Killed.")
    with pytest.raises(WorkerDiedError) as raised, plain_worker_failures():
        raise RuntimeError(killed + "Segmentation fault.")
    assert "memory" not in str(raised.value)


HOLD = """
import sys, time
from pathlib import Path
from detkit.runs.training_lock import training_lock
with training_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_run_folder_belongs_to_one_process_until_it_ends(tmp_path):
    with run_python(HOLD, str(tmp_path)) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {holder.pid} is training in it"):
            training_lock(tmp_path).__enter__()
        holder.kill()
        holder.wait()
    with training_lock(tmp_path):
        pass
