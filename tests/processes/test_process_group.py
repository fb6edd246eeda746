"""Nothing of a group is left, however it or its starter ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from detkit.processes.process_group import ProcessGroup

# A leader with one more process, which would live for a minute; both write their ids.
FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
with open(sys.argv[1] + ".part", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.replace(sys.argv[1] + ".part", sys.argv[1])
{end}
"""
STARTER = """
import sys, time
from pathlib import Path
from detkit.processes.process_group import ProcessGroup
group = ProcessGroup([sys.executable, "-c", sys.argv[1], sys.argv[2]], grace=1.0)
time.sleep(60)
"""


def family(end):
    return FAMILY.replace("{end}", end)


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def lives(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def ids(file):
    assert wait_for(file.is_file)
    return [int(word) for word in file.read_text().split()]


def start(tmp_path, end, **settings):
    file = tmp_path / "ids"
    group = ProcessGroup([sys.executable, "-c", family(end), str(file)], **settings)
    return group, ids(file)


@pytest.mark.parametrize("code", [0, 3])
def test_children_that_a_leader_leaves_behind_are_ended_with_it(tmp_path, code):
    group, members = start(tmp_path, f"sys.exit({code})")
    assert group.wait(20) == code
    assert wait_for(lambda: not any(map(lives, members)))


# pain 5
def test_killing_the_leader_ends_the_whole_group(tmp_path):
    group, members = start(tmp_path, "time.sleep(60)")
    os.kill(members[0], signal.SIGKILL)
    assert group.wait(20) == 128 + signal.SIGKILL
    assert wait_for(lambda: not any(map(lives, members)))


def test_a_leader_that_does_not_stop_is_killed_after_the_grace(tmp_path):
    ignoring = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    # The ids are written before the signal is ignored, so give it the time to.
    group, members = start(tmp_path, ignoring, grace=1.0)
    time.sleep(0.5)
    assert group.stop() == 128 + signal.SIGKILL
    assert wait_for(lambda: not any(map(lives, members)))


# pain 46
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_to_the_guard_reaches_the_leader(tmp_path, number):
    counting = f"""
import signal
received = []
signal.signal({int(number)}, lambda *_: received.append(1))
open(sys.argv[1] + ".ready", "w").close()
while not received: time.sleep(0.01)
time.sleep(0.2)
sys.exit(100 + len(received))
"""
    group, _ = start(tmp_path, counting)
    assert wait_for((tmp_path / "ids.ready").is_file)
    group.send(number)
    group.send(number)
    assert group.wait(20) == 101


# pain 5
def test_nothing_outlives_the_process_that_started_the_group(tmp_path):
    file = tmp_path / "ids"
    words = [sys.executable, "-c", STARTER, family("time.sleep(60)"), str(file)]
    with subprocess.Popen(words) as starter:
        members = ids(file)
        assert all(map(lives, members))
        starter.kill()
    assert wait_for(lambda: not any(map(lives, members)))


def test_output_is_added_to_a_file_and_cores_are_kept_to(tmp_path):
    core = min(os.sched_getaffinity(0))
    output = tmp_path / "log"
    output.write_text("before\n")
    words = [sys.executable, "-c", "import os; print(os.sched_getaffinity(0))"]
    assert ProcessGroup(words, output=output, cores=[core]).wait(20) == 0
    assert output.read_text() == f"before\n{{{core}}}\n"
