"""A callback that plots the gradient norms of each part during training."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from matplotlib.figure import Figure
from torch.optim import Optimizer

from detkit import Wired, register
from detkit.registry import PositiveInt


@register("callback", "gradient_norms")
class GradientNorms(pl.Callback):
    """Plots the gradient norm of each part over time to `gradient_norms.png`.

    A part with a much smaller norm than the others learns little; a growing norm leads to
    divergence. Norms are taken before clipping, and also written to `gradient_norms.csv`. Parts are
    the children of the detector (backbone, neck, head), or their children at a greater depth.

    Args:
        run_folder: The folder of the run.
        every: Number of optimizer steps between two points.
        depth: How many names of a parameter's path define a part; 2 separates the towers of a head.
    """

    def __init__(
        self, *, run_folder: Wired[str], every: PositiveInt = 10, depth: PositiveInt = 1
    ) -> None:
        self.folder = Path(run_folder)
        self.every = every
        self.depth = depth
        self.norms: dict[str, list[tuple[int, float]]] = {}  # part -> (step, norm)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: Any, optimizer: Optimizer
    ) -> None:
        """Measure, but only at some steps, since reading the values waits for the device."""
        if trainer.global_step % self.every:
            return
        gradients: dict[str, list[torch.Tensor]] = {}
        for name, parameter in pl_module.detector.named_parameters():
            if parameter.grad is not None:
                part = ".".join(name.split(".")[:-1][: self.depth]) or name
                gradients.setdefault(part, []).append(parameter.grad.detach().norm())
        for part, norms in gradients.items():
            norm = float(torch.stack(norms).norm())
            self.norms.setdefault(part, []).append((trainer.global_step, norm))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Write the table and the plot; only the first rank does."""
        if not trainer.is_global_zero or not self.norms:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "gradient_norms.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["part", "step", "norm"])
            rows.writerows((part, *point) for part, line in self.norms.items() for point in line)
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.add_subplot()
        for part, points in self.norms.items():
            axes.plot(*zip(*points, strict=True), label=part, linewidth=1)
        axes.set(xlabel="optimizer step", ylabel="norm of the gradients", yscale="log")
        axes.legend(fontsize="small")
        figure.savefig(self.folder / "gradient_norms.png", dpi=120)

    def state_dict(self) -> dict[str, Any]:
        """Plain values for the checkpoint, so that a resumed run plots all points."""
        return {part: [list(point) for point in line] for part, line in self.norms.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the points from a checkpoint."""
        self.norms = {part: [(s, n) for s, n in line] for part, line in state_dict.items()}
