"""Where numbers go besides the run folder."""

from __future__ import annotations

import importlib.util
import secrets
from pathlib import Path
from typing import Literal

from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from detkit.errors import UserError
from detkit.registry import Wired, register

RUN_ID_FILE = "wandb_run_id.txt"  # in the run folder


@register("logger", "wandb")
class Wandb(WandbLogger):
    """Weights & Biases, online, offline (upload later with `wandb sync`) or disabled.

    A resumed run goes on in the same W&B run: its id lies in the run folder.

    Args:
        run_folder: Where W&B keeps its files.
        mode: `online` sends the numbers to W&B's servers as they come, `offline` keeps them in the
            run folder, `disabled` does nothing.
        project: The project that the run belongs to.
        entity: The user or team that owns the project; null takes your default.
        group: Runs with the same group are shown together, such as those of a sweep.
        title: Name of the run; null takes the name of the run folder.
        tags: Words to filter runs by.
        run_id: Id of the run; null takes the one in the run folder, or a new one.
    """

    def __init__(
        self,
        *,
        run_folder: Wired[str],
        mode: Literal["online", "offline", "disabled"] = "offline",
        project: str = "detkit",
        entity: str | None = None,
        group: str | None = None,
        title: str | None = None,
        tags: list[str] | None = None,
        run_id: str | None = None,
    ) -> None:
        if importlib.util.find_spec("wandb") is None:
            raise UserError(_missing("wandb", "wandb"))
        folder = Path(run_folder)
        super().__init__(
            name=title or folder.resolve().name,
            save_dir=str(folder),
            project=project,
            id=run_id or _kept_id(folder / RUN_ID_FILE),
            entity=entity,
            group=group,
            tags=tags,
            mode=mode,
        )
        self._wandb_init.pop("anonymous", None)  # W&B warns of it, and Lightning always sets it

    def close(self) -> None:
        """End the W&B run, so that the next run of this process gets its own."""
        if self._experiment is not None:
            self._experiment.finish()
            self._experiment = None


@register("logger", "tensorboard")
class TensorBoard(TensorBoardLogger):
    """TensorBoard event files in the run folder; see them with `tensorboard --logdir RUN`.

    Args:
        run_folder: The files lie in its folder `tensorboard`.
    """

    def __init__(self, *, run_folder: Wired[str]) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise UserError(_missing("tensorboard", "detkit[tensorboard]"))
        super().__init__(save_dir=run_folder, name="tensorboard", version="")

    def close(self) -> None:
        """Write what is still in memory."""
        self.finalize("success")


def _missing(logger: str, package: str) -> str:
    return (
        f"logger '{logger}' needs the package {logger}, which is not installed: run "
        f"pip install '{package}', or choose another logger."
    )


def _kept_id(path: Path) -> str:
    """The id in a file, which is written when there is none; other ranks than 0 need none."""
    if path.is_file():
        return path.read_text(encoding="utf-8").strip()
    fresh = secrets.token_hex(4)
    if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(fresh + "\n", encoding="utf-8")
    return fresh
