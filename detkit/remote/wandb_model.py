"""A model artifact of Weights & Biases: `wandb://ENTITY/PROJECT/NAME[:ALIAS]`.

The logger `wandb` stores the best checkpoint of a run as such an artifact (`log_model: best`).
"""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detkit.errors import UserError
from detkit.files import replacing
from detkit.text import file_size

_ADDRESS = re.compile(r"wandb://([^/:]+/[^/:]+/[^/:]+)(?::([^/:]+))?")
_MODEL = "model"


@dataclass(frozen=True)
class WandbModel:
    """An artifact of the type `model`.

    Attributes:
        name: ENTITY/PROJECT/NAME.
        alias: A version or an alias, such as `v3` or `best`.
    """

    name: str
    alias: str = "latest"

    @property
    def _record(self) -> Path:
        """Holds the folder of the version that this alias had last."""
        return _cache() / self.name / f"{self.alias}.txt"

    def cached(self) -> Path | None:
        """The downloaded artifact; None if it was not downloaded yet."""
        if not self._record.is_file():
            return None
        folder = self._record.parent / self._record.read_text(encoding="utf-8").strip()
        return _content(folder) if folder.is_dir() else None

    def missing(self, key: str, reason: str) -> UserError:
        """The error of an artifact that cannot be used.

        Args:
            key: The configuration key and its value, for the message.
            reason: The reason.
        """
        return UserError(
            f"{key}: the artifact {self.name}:{self.alias} of Weights & Biases {reason}: download "
            f"it elsewhere (wandb artifact get {self.name}:{self.alias}) and give its path."
        )

    def fetch(self, key: str) -> Path:
        """The artifact's folder, or its only file, downloaded unless the cache has this version.

        Args:
            key: The configuration key and its value, for messages.

        Raises:
            UserError: There is no such artifact, you are not logged in, or it is no model.
        """
        wandb = importlib.import_module("wandb")  # takes a second
        try:
            artifact = wandb.Api().artifact(f"{self.name}:{self.alias}")
        except Exception as error:  # W&B raises its own errors, ValueError, and its client's
            return self._without_server(key, error)
        if artifact.type != _MODEL:
            raise UserError(
                f"{key}: the artifact is of the type '{artifact.type}', expected '{_MODEL}': name "
                "an artifact that logger.log_model=best stored, such as model-RUN_ID:best."
            )
        folder = _cache() / self.name / f"{artifact.version}-{artifact.digest[:12]}"
        if not folder.is_dir():
            self._download(artifact, folder, key)
        self._record.write_text(folder.name, encoding="utf-8")
        return _content(folder)

    def _download(self, artifact: Any, folder: Path, key: str) -> None:
        sys.stderr.write(
            f"downloading the model {self.name}:{artifact.version} from Weights & Biases "
            f"({file_size(artifact.size)}) to {folder}\n"
        )
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with replacing(folder) as part:
                artifact.download(root=str(part))
        except Exception as error:  # see `fetch`
            raise self.missing(key, f"could not be downloaded ({_first_line(error)})") from error

    def _without_server(self, key: str, error: Exception) -> Path:
        path, reason = self.cached(), _first_line(error)
        if path is not None and "not found" not in reason.lower():
            sys.stderr.write(f"{key}: W&B could not be reached ({reason}): using {path}\n")
            return path
        if isinstance(error, importlib.import_module("wandb.errors").UsageError):
            raise UserError(
                f"{key}: you are not logged in to Weights & Biases: run `wandb login`, or set "
                "WANDB_API_KEY."
            ) from error
        raise self.missing(key, f"cannot be read ({reason})") from error


def _content(folder: Path) -> Path:
    """The only file of a folder, or the folder: a bundle, or a checkpoint with a usual name."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return files[0] if len(files) == 1 else folder


def _cache() -> Path:
    folder: Path = importlib.import_module("wandb.env").get_cache_dir() / "detkit"
    return folder


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def wandb_model(address: str, key: str) -> WandbModel:
    """The artifact at an address that begins with `wandb://`.

    Raises:
        UserError: It is no such address.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise UserError(
            f"{key}={address}: expected wandb://ENTITY/PROJECT/NAME:ALIAS, such as "
            "wandb://me/detkit/model-3f2a91bc:best."
        )
    return WandbModel(match[1], match[2] or "latest")
