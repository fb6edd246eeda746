"""A logger: writes the logged numbers somewhere."""

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
    """Writes one JSON object per line to a file in the run folder.

    Args:
        run_folder: The folder of the run.
        file_name: Name of the file.
    """

    def __init__(self, *, run_folder: Wired[str], file_name: str = "numbers.jsonl") -> None:
        super().__init__()
        self.file = Path(run_folder) / file_name

    @property
    def name(self) -> str:
        """The name of the logger, for Lightning."""
        return "my_logger"

    @property
    def version(self) -> str:
        """The name of the run."""
        return self.file.parent.name

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append the numbers of a step; only the first rank does."""
        line = json.dumps({"step": step, **{name: float(value) for name, value in metrics.items()}})
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def log_hyperparams(
        self, params: Mapping[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Do nothing: the run folder has the configuration in config.yaml."""
