"""The state of a sweep's jobs, on one screen."""

from __future__ import annotations

import shlex
from collections import Counter

from detkit.files import display_path
from detkit.runs.layout import JOB_OUTPUT
from detkit.sweeps.jobs.progress_line import job_progress
from detkit.sweeps.jobs.sweep_folder import SweepFolder
from detkit.text import LONGEST_CELL, align_columns, counted

_MOST = 40


def summary_lines(folder: SweepFolder) -> list[str]:
    """A line for each job, up to a maximum; errors of failed jobs; and how to resume."""
    jobs = folder.load()
    rows = [["job", "state", "AP", "minutes"]]
    for job in jobs[:_MOST]:
        score = job.score() if job.state == "done" else None
        reached = "" if score is None else f"{score:.3f}"
        state = f"running, {job_progress(job)}" if job.state == "running" else job.state
        rows.append([job.title, state, reached, f"{job.seconds / 60:.1f}"])
    lines = align_columns(rows, (2, 3), longest=LONGEST_CELL)
    if len(jobs) > _MOST:
        lines.append(f"... and {counted(len(jobs) - _MOST, 'more job')}")
    failed = [job for job in jobs if job.state == "failed"]
    lines += [f"failed: {job.title}: {job.error}" for job in failed[:_MOST]]
    counts = Counter(job.state for job in jobs)
    where = shlex.quote(str(display_path(folder.path)))
    lines.append(", ".join(f"{count} {state}" for state, count in counts.items()))
    if counts["waiting"] or counts["stopped"]:
        lines.append(f"resume with: detkit sweep resume {where}")
    if failed:
        lines.append(f"what failed printed to {JOB_OUTPUT} of its folder in {where}")
        lines.append(f"start it again with: detkit sweep resume {where} --failed")
    lines.append(f"numbers, curves, effects of the keys: detkit sweep table {where}")
    return lines
