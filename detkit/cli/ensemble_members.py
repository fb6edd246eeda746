"""The detectors of a command, of which one or more are runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detkit.api.backend import Backend
from detkit.api.checkpoint_config import checkpoint_of, compose_with
from detkit.api.run_backend import RunBackend
from detkit.api.view_settings import ViewSettings, configured_views
from detkit.cli.exported_members import FileMember, merged
from detkit.config.overrides import quoted_value
from detkit.errors import UserError
from detkit.inference.engines.opening import exported_file
from detkit.runs.checkpoint import Checkpoint

_FIXED = ("model", "augmentation", "image_size")  # by the export


@dataclass(frozen=True)
class RunMember:
    """A run of an ensemble, or the only detector.

    Attributes:
        checkpoint: Its weights and class names.
        config: Its checked configuration, with the words of the command line.
    """

    checkpoint: Checkpoint
    config: Mapping[str, Any]

    @property
    def files(self) -> list[Path]:
        """The files that hold the detector."""
        return [self.checkpoint.path]

    def open(self) -> RunBackend:
        """Build its network."""
        return RunBackend(self.checkpoint, self.config, device=self.config["device"])


@dataclass(frozen=True)
class Members:
    """All detectors of a command of which at least one is a run.

    Attributes:
        members: The detectors, in the order of `ckpt`.
        first: The first run, whose settings are the command's.
        views: How views and detectors are merged; None for one detector and one view.
    """

    members: Sequence[RunMember | FileMember]
    first: RunMember
    views: ViewSettings | None

    @property
    def config(self) -> Mapping[str, Any]:
        """The command's configuration."""
        return self.first.config

    @property
    def files(self) -> list[Path]:
        """The files that hold the detectors."""
        return [file for member in self.members for file in member.files]

    def open(self) -> Backend:
        """Open all detectors as one, and print what is merged apart."""
        return merged([member.open() for member in self.members], self.views)


def members_of(names: Sequence[str], words: Sequence[str], command: str) -> Members:
    """Read the checkpoints of a command and compose their configurations.

    Args:
        names: Runs and exported files, at least one run.
        words: The words of the command line.
        command: `predict` or `evaluate`.

    Raises:
        UserError: There is no such checkpoint, or a word is wrong, or has no effect.
    """
    shared = [word for word in words if not word.startswith("ckpt=")]
    runs: dict[str, RunMember] = {}
    for name in names:
        if exported_file(name) is None and name not in runs:
            overrides = [f"ckpt={quoted_value(name)}", *shared]
            checkpoint = checkpoint_of(overrides, command)
            runs[name] = RunMember(checkpoint, compose_with(checkpoint, command, overrides))
    first = next(iter(runs.values()))
    views = configured_views(first.config, len(names))
    if len(runs) < len(set(names)):
        _refuse_network_words(names, shared)
    members = [_member(name, runs, first.config["device"]) for name in names]
    return Members(members, first, views)


def _member(name: str, runs: Mapping[str, RunMember], device: str) -> RunMember | FileMember:
    file = exported_file(name)
    return runs[name] if file is None else FileMember(file, device)


def _refuse_network_words(names: Sequence[str], words: Sequence[str]) -> None:
    """Refuse words that would change runs and leave exported files as they are.

    Raises:
        UserError: There is one.
    """
    file = next(name for name in names if exported_file(name) is not None)
    for word in words:
        if word.lstrip("+~").partition("=")[0].replace("/", ".").split(".")[0] in _FIXED:
            raise UserError(
                f"'{word}' has no effect on {file}, whose settings were fixed when it was "
                "exported: leave it out, or make an ensemble of runs alone."
            )
