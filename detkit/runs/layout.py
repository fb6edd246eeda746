"""The names of the files in a run folder. No module outside `detkit.runs` spells one of them.

Imports nothing outside the standard library, so that every package can use it.
"""

from __future__ import annotations

from pathlib import Path

CONFIG = "config.yaml"
ENVIRONMENT = "environment.json"
METRICS_LOG = "metrics.csv"
RESULTS = "metrics.json"
MATCHES = "matches.npz"
CHECKPOINTS = "checkpoints"
BEST, LAST = "best.ckpt", "last.ckpt"
PICTURES = "pictures"
ANALYSIS = "analysis"
CURVES = "curves.png"
REPORT = "report.html"
LOG = "train.log"
PROGRESS = "progress.json"
SAVED_STEPS = "non_finite"
WANDB_RUN_ID = "wandb_run_id.txt"
LOCK = ".lock"
CLAIM = ".starting"
JOB, JOB_OUTPUT, JOB_LOCK = "job.json", "output.log", "job.lock"
# A bundle is a folder too, with the configuration under the same name.
BUNDLE, BUNDLE_WEIGHTS = "bundle.json", "weights.safetensors"


class RunFolder:
    """The paths of the files in a run folder, whether or not they exist.

    Attributes:
        path: The folder.
        config: The whole configuration; a run is started from this file only.
        environment: What a run depends on besides its configuration, for each start.
        metrics_log: A row of numbers for each logged step and each validation.
        results: The metrics of the best checkpoint; written when the run ends.
        matches: Which detections of the best checkpoint find objects, to compare runs.
        checkpoints: The folder with the next two.
        best_checkpoint: The weights with the best validation score so far.
        last_checkpoint: The latest state, from which the run resumes.
        pictures: Validation images with objects and detections.
        analysis: Plots of the errors and curves of the best checkpoint.
        curves: Losses and scores over the steps.
        report: All of it on one page.
        log: The messages of the run, with their times.
        progress: The current epoch and the remaining time.
        saved_steps: Batches whose loss or gradients were not finite.
        wandb_run_id: The id under which the run continues in Weights & Biases.
        lock: Locked by the process that trains.
        claim: Locked by the command that starts the run.
        job: The state of the run as a job of a sweep.
        job_output: What the job printed.
        job_lock: Locked by the sweep that runs the job.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path = Path(path)
        self.config = path / CONFIG
        self.environment = path / ENVIRONMENT
        self.metrics_log = path / METRICS_LOG
        self.results = path / RESULTS
        self.matches = path / MATCHES
        self.checkpoints = path / CHECKPOINTS
        self.best_checkpoint = self.checkpoints / BEST
        self.last_checkpoint = self.checkpoints / LAST
        self.pictures = path / PICTURES
        self.analysis = path / ANALYSIS
        self.curves = path / CURVES
        self.report = path / REPORT
        self.log = path / LOG
        self.progress = path / PROGRESS
        self.saved_steps = path / SAVED_STEPS
        self.wandb_run_id = path / WANDB_RUN_ID
        self.lock = path / LOCK
        self.claim = path / CLAIM
        self.job = path / JOB
        self.job_output = path / JOB_OUTPUT
        self.job_lock = path / JOB_LOCK

    @classmethod
    def of_checkpoint(cls, checkpoint: Path) -> RunFolder:
        """The run that a checkpoint belongs to; its own folder if it was moved out of a run."""
        folder = checkpoint.parent
        return cls(folder.parent if folder.name == CHECKPOINTS else folder)

    @property
    def has_checkpoint(self) -> bool:
        """Whether the run can be resumed."""
        return self.last_checkpoint.is_file()

    @property
    def has_trained(self) -> bool:
        """Whether a training wrote anything that must not be lost."""
        return any(p.exists() for p in (self.metrics_log, self.checkpoints, self.saved_steps))

    @property
    def is_finished(self) -> bool:
        """Whether the run ended and measured its best checkpoint."""
        return self.results.is_file()
