"""Two sweeps of one machine do not use the same GPUs."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from detkit.config.sweep_options import DevicePoolOptions
from detkit.processes.process_group import ProcessGroup
from detkit.sweeps.jobs import device_pool, devices
from detkit.sweeps.jobs import gpu_reservations as reservations
from detkit.sweeps.jobs.device_pool import DevicePool
from detkit.sweeps.jobs.gpu_reservations import Reservations

HOLD = """
import sys
from pathlib import Path
from detkit.sweeps.jobs.gpu_reservations import Reservations
holder = Reservations(Path(sys.argv[1]))
assert holder.reserve("0")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(devices, "visible_gpus", lambda: ["0", "1"])
    monkeypatch.setattr(reservations, "PAUSE", 0.02)


def test_a_gpu_has_one_holder(tmp_path):
    first, second = Reservations(tmp_path), Reservations(tmp_path)
    assert first.reserve("0")
    assert first.reserve("0")
    assert not second.reserve("0")
    assert second.reserve("GPU-b/1")
    first.release("0")
    assert second.reserve("0")


def test_a_killed_holder_holds_nothing(tmp_path):
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        assert not Reservations(tmp_path).reserve("0")
        assert Reservations(tmp_path).holder("0") == f"process {holder.pid}"
        holder.kill()
        holder.wait()
    assert Reservations(tmp_path).reserve("0")


def test_a_job_keeps_its_gpu_reserved_when_its_sweep_lets_go(tmp_path):
    sweep = Reservations(tmp_path)
    sweep.reserve("0")
    group = ProcessGroup(
        [sys.executable, "-c", "import time; time.sleep(30)"], inherited=sweep.descriptors("0")
    )
    sweep.release("0")
    assert not Reservations(tmp_path).reserve("0")
    group.stop()
    assert Reservations(tmp_path).reserve("0")


# pain 5
def test_two_sweeps_divide_the_gpus(two_gpus):
    others = Reservations(device_pool.shared_folder())
    others.reserve("1")
    with DevicePool(DevicePoolOptions()) as ours:
        assert ours.free == 1
    with DevicePool(DevicePoolOptions(share_devices=True)) as sharing:
        assert sharing.free == 2


def test_a_sweep_waits_for_the_gpus_that_a_job_needs(two_gpus, caplog):
    caplog.set_level("INFO", logger="detkit.sweeps")
    others = Reservations(device_pool.shared_folder())
    others.reserve("1")
    with DevicePool(DevicePoolOptions(), width=2) as ours:
        assert ours.free == 0
        threading.Timer(0.2, others.release, ["1"]).start()
        assert ours.ended() == []
        assert ours.free == 1
    assert caplog.text.count("waiting for GPU 1, in use by another sweep (process ") == 1


def test_where_nothing_can_be_locked_nothing_is_reserved(tmp_path):
    (tmp_path / "file").touch()
    folder = Path(tmp_path / "file" / "gpus")
    assert Reservations(folder).reserve("0")
    assert Reservations(folder).descriptors("0") == []
