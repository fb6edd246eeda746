"""A logger: where numbers are sent."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from detkit import Wired, register


@register("logger", "my_logger")
class MyLogger(Logger):
    """One JSON object a line, as the numbers come, in the run folder.

    Args:
        run_folder: Where the run writes.
        file_name: Name of the file.
    """

    def __init__(self, *, run_folder: Wired[str], file_name: str = "numbers.jsonl") -> None:
        super().__init__()
        self.file = Path(run_folder) / file_name

    @property
    def name(self) -> str:
        """What Lightning calls it."""
        return "my_logger"

    @property
    def version(self) -> str:
        """The run that the numbers are of."""
        return self.file.parent.name

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add the numbers of a step; one process of several does."""
        line = json.dumps({"step": step, **{name: float(value) for name, value in metrics.items()}})
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def log_hyperparams(
        self, params: Mapping[str, Any] | Namespace, *others: Any, **named: Any
    ) -> None:
        """Nothing: the configuration lies in config.yaml."""
