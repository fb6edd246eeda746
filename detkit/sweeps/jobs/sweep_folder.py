"""The folder of a sweep: its command, and its jobs, queued as frozen run folders."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from detkit.errors import UserError
from detkit.files import lock, write_atomically
from detkit.runs.frozen_config import freeze
from detkit.runs.layout import RunFolder
from detkit.sweeps.jobs.job import Job
from detkit.text import split_setting

FILE = "sweep.json"
_LOCK = ".sweep.lock"
_LONGEST_NAME = 80
# Keys that are not part of a job's identity, since they cannot change its result.
_IRRELEVANT = ("run_folder", "run_name", "ckpt", "logger", "plugins")
_IRRELEVANT_IN = {"data": ("workers", "index_cache")}


@dataclass
class SweepFolder:
    """A sweep on disk; several processes may add to it.

    Attributes:
        path: The folder.
        command: The command that started or last extended it.
        words: The overrides of that command.
        swept: The keys that vary.
        started: Time of its first start, in ISO format.
        jobs: Names of the jobs' folders, in order.
        launcher: Options of `hydra.launcher` that were given, for `detkit sweep resume`.
    """

    path: Path
    command: str = ""
    words: list[str] = field(default_factory=list)
    swept: list[str] = field(default_factory=list)
    started: str = ""
    jobs: list[str] = field(default_factory=list)
    launcher: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> SweepFolder:
        """Read a sweep's folder.

        Raises:
            UserError: There is none, or its record is damaged.
        """
        file = path / FILE
        if not file.is_file():
            hint = "give the folder that `detkit sweep` named at its start."
            if (path.parent / FILE).is_file():
                hint = f"this is one of its jobs; the sweep is {path.parent}."
            elif RunFolder(path).config.is_file():
                hint = f"it holds a single run; resume it with detkit train ckpt={path}"
            raise UserError(f"{path}: is no folder of a sweep (it has no {FILE}): {hint}")
        folder = cls(path.resolve())
        folder._read()
        return folder

    @classmethod
    def begin(
        cls,
        path: Path,
        command: str,
        words: Sequence[str],
        launcher: Mapping[str, Any] | None = None,
    ) -> SweepFolder:
        """Start a sweep in a folder, or extend the sweep that is there.

        Raises:
            UserError: The folder cannot be written, or its record is damaged.
        """
        folder = cls(path.resolve())
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            with folder._alone():
                if (folder.path / FILE).is_file():
                    folder._read()
                folder.started = folder.started or datetime.now().isoformat(timespec="seconds")
                folder.command, folder.words = command, list(words)
                folder.launcher = dict(launcher or {})
                folder._write()
        except OSError as error:
            message = (
                f"hydra.sweep.dir={path}: cannot be written: {error.strerror}. Choose a folder "
                "that you may write to."
            )
            raise UserError(message) from error
        return folder

    def queue(self, cells: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> list[Job]:
        """Queue each checked configuration as a job; return the jobs in the same order.

        A configuration that the sweep already has keeps its job, in whatever state; equal
        configurations share one job.

        Raises:
            UserError: A folder cannot be written.
        """
        with self._alone():
            self._read()
            queued = [self._job(*cell) for cell in cells]
            names = [job.folder.name for job in queued]
            self.jobs = list(dict.fromkeys([*self.jobs, *names]))
            self.swept = self._varying()
            self._write()
        return queued

    def load(self) -> list[Job]:
        """All jobs as they are now, in order.

        Raises:
            UserError: A job's record is damaged.
        """
        return [Job.load(self.path / name) for name in self.jobs]

    def _job(self, config: Mapping[str, Any], words: Sequence[str]) -> Job:
        """The existing job of a configuration, or a new one."""
        identity = identity_of(config)
        existing = (name for name in self.jobs if name.endswith(f"_{identity}"))
        folder = self.path / next(existing, _name(words, identity))
        if RunFolder(folder).job.is_file():
            return Job.load(folder)
        content = {**config, "run_folder": str(folder), "logger": self._grouped(config["logger"])}
        job = Job(freeze(content), identity, list(words))
        job.save()
        return job

    def _grouped(self, logger: Any) -> Any:
        """A logger; in W&B, the runs of a sweep form a group unless the user named another one."""
        if isinstance(logger, Mapping) and logger.get("name") == "wandb" and not logger["group"]:
            return {**logger, "group": self.path.name}
        return logger

    def _varying(self) -> list[str]:
        """The keys whose values differ between jobs, in the order in which they were typed."""
        settings = [dict(map(split_setting, job.words)) for job in self.load()]
        keys = dict.fromkeys(key for values in settings for key in values)
        return [key for key in keys if len({values.get(key) for values in settings}) > 1]

    def _read(self) -> None:
        file = self.path / FILE
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            jobs = [str(name) for name in content["jobs"]]
            if any(Path(name).name != name for name in jobs):
                raise ValueError("it names a job outside the folder")
            self.command, self.started = str(content["command"]), str(content["started"])
            self.words, self.swept = list(content["words"]), list(content["swept"])
            self.jobs, self.launcher = jobs, dict(content.get("launcher") or {})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"{file}: is damaged, no record of a sweep: {error}.") from error

    def _write(self) -> None:
        content = {
            "command": self.command,
            "words": self.words,
            "swept": self.swept,
            "started": self.started,
            "jobs": self.jobs,
            "launcher": self.launcher,
        }
        text = json.dumps(content, indent=1, ensure_ascii=False)
        write_atomically(self.path / FILE, text)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from changing the sweep, if the file system has locks."""
        with (self.path / _LOCK).open("ab") as file:
            lock(file, wait=True)
            yield


def identity_of(config: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits of everything in a configuration that can change the result."""
    relevant = {key: value for key, value in config.items() if key not in _IRRELEVANT}
    for block, keys in _IRRELEVANT_IN.items():
        if isinstance(relevant.get(block), Mapping):
            relevant[block] = {key: v for key, v in relevant[block].items() if key not in keys}
    text = json.dumps(_normal(relevant), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _normal(value: Any) -> Any:
    """A value with 1.0 replaced by 1, so that both have the same identity."""
    if isinstance(value, Mapping):
        return {str(key): _normal(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_normal(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _name(words: Sequence[str], identity: str) -> str:
    """The name of a job's folder: its overrides, in characters that need no quotes."""
    keys = [re.split(r"[./]", key) for key, _ in map(split_setting, words)]
    parts = []
    for key, (_, value) in zip(keys, map(split_setting, words), strict=True):
        is_ambiguous = sum(other[-1] == key[-1] for other in keys) > 1
        parts.append(f"{'.'.join(key[-2:]) if is_ambiguous else key[-1]}-{value}")
    text = re.sub(r"[^\w.-]+", "-", "_".join(parts), flags=re.ASCII).strip("-.")
    return f"{text[:_LONGEST_NAME].strip('-._') or 'job'}_{identity}"
