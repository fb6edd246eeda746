"""Kill a sweep with SIGKILL at random moments, resume it, and compare with an undisturbed one.

    python scripts/reliability/kill_sweep.py --kills 2 --folder FOLDER

The sweep of 12 short jobs runs two at once, each on CPU cores of its own. In the end every job has
to be done, none of those that were done before a kill may have been started again, each run has to
be bit-identical to the one of the undisturbed sweep, and no process may be left.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from kill_and_resume import TRAINING, content, differing

from detkit.sweeps.jobs.job import Job
from detkit.sweeps.jobs.sweep_folder import SweepFolder

JOBS = 12


def command(folder: Path, images: int) -> list[str]:
    """The command that starts or resumes the sweep."""
    detkit = [sys.executable, "-m", "detkit.cli.main", "sweep"]
    if (folder / "sweep.json").is_file():
        return [*detkit, "resume", str(folder)]
    words = [*TRAINING, f"data.reader.train_images={images}", f"hydra.sweep.dir={folder}"]
    return [*detkit, f"seed=range(1,{JOBS + 1})", *words, "hydra.launcher.jobs_per_device=2"]


def run(folder: Path, images: int, seconds: float | None = None) -> int | None:
    """Run the sweep to its end, or kill it these seconds after its first job starts.

    Returns:
        The exit code; None where it was killed.
    """
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        process = subprocess.Popen(command(folder, images), stdout=log, stderr=log)
    if seconds is None:
        return process.wait()
    while process.poll() is None and not states(folder).get("running"):
        time.sleep(0.1)
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return None


def states(folder: Path) -> dict[str, int]:
    """The number of jobs in each state."""
    counts: dict[str, int] = {}
    for job in jobs(folder):
        counts[job.state] = counts.get(job.state, 0) + 1
    return counts


def jobs(folder: Path) -> list[Job]:
    return SweepFolder.open(folder).load() if (folder / "sweep.json").is_file() else []


def left(folder: Path) -> list[str]:
    """The processes that name the folder in their command."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().split(b"\0")
        except OSError:
            continue
        if (
            any(str(folder).encode() in word for word in words)
            and int(place.parent.name) != os.getpid()
        ):
            found.append(b" ".join(words).decode())
    return found


def wait_for_none(folder: Path, seconds: float = 90) -> list[str]:
    """List processes that still run after these seconds; jobs of a killed sweep save and end."""
    end = time.monotonic() + seconds
    while left(folder) and time.monotonic() < end:
        time.sleep(0.2)
    return left(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--images", type=int, default=40, help="training images of a job")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    whole, killed = (options.folder.resolve() / name for name in ("whole", "killed"))
    began = time.monotonic()
    if run(whole, options.images) != 0:
        sys.exit((whole.parent / "whole.log").read_text()[-2000:])
    seconds = time.monotonic() - began
    print(f"left alone: {JOBS} jobs in {seconds:.0f} s", flush=True)

    moments = random.Random(options.seed)
    problems: list[str] = []
    for kill in range(1, options.kills + 1):
        run(killed, options.images, moments.uniform(0.1, 0.8) * seconds / options.kills)
        problems += [f"left behind: {process}" for process in wait_for_none(killed)]
        known = {job.folder.name: job.attempts for job in jobs(killed) if job.state == "done"}
        print(f"kill {kill}: {states(killed)}", flush=True)
    if run(killed, options.images) != 0:
        problems.append((killed.parent / "killed.log").read_text()[-2000:])
    print(f"resumed: {states(killed)}, attempts {[job.attempts for job in jobs(killed)]}")
    for job in jobs(killed):
        if job.state != "done":
            problems.append(f"{job.folder.name}: {job.state}")
            continue
        if job.attempts != known.get(job.folder.name, job.attempts):
            problems.append(f"{job.folder.name}: was done and has been started again")
        different = differing(content(whole / job.folder.name), content(job.folder))
        problems += [f"{job.folder.name}: {name} differs" for name in different]
    problems += [f"left behind: {process}" for process in left(killed)]
    print("\n".join(problems) or f"all {JOBS} jobs bit-identical, each done once, nothing left")
    return 1 if problems or len(jobs(killed)) != JOBS else 0


if __name__ == "__main__":
    sys.exit(main())
