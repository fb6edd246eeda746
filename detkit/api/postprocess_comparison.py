"""Compare post-processors on a data set: the network runs once, then each makes detections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from time import perf_counter
from typing import Any

from detkit import assembly, registry
from detkit.api.evaluation import evaluation_of
from detkit.api.view_settings import configured_views
from detkit.assembly import Classes
from detkit.config.override_text import override_text
from detkit.config.signatures import arguments, check_value
from detkit.errors import UserError, did_you_mean
from detkit.inference.measuring import Measurement
from detkit.inference.recorded_candidates import RecordedCandidates
from detkit.inference.tiled_batches import DetectedBatch
from detkit.inference.tiling import tiling_of
from detkit.runs.checkpoint import Checkpoint
from detkit.text import counted

# They decide which candidates the network passes on, which happens once.
CANDIDATE_KEYS = ("score_threshold", "max_candidates")
_SHARED = (*CANDIDATE_KEYS, "max_detections", "class_agnostic")
Grid = Mapping[str, Sequence[Any]]
Track = Callable[[Iterator[DetectedBatch]], Iterable[DetectedBatch]]


@dataclass(frozen=True)
class Choice:
    """A post-processor and how well it does.

    Attributes:
        name: Its registered name.
        settings: All of its settings.
        varied: Those that the comparison varies.
        numbers: The metrics.
        seconds: For post-processing all images; 0 for the detector's own.
        is_own: Whether it is the detector's own.
    """

    name: str
    settings: Mapping[str, Any]
    varied: Mapping[str, Any] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    is_own: bool = False


class PostprocessComparison:
    """A checkpoint's candidates on a data set, and the post-processors to try on them.

    All choices receive the same candidates: those above the detector's own `score_threshold`, up to
    its own `max_candidates` of each level. A post-processor of another name keeps the detector's
    `max_detections` and `class_agnostic`, and has its own defaults otherwise.

    Args:
        checkpoint: Its weights and class names.
        config: The checked configuration of the root `evaluate`.

    Attributes:
        split: A line about the images.
        notes: Lines about settings that some post-processors lack.

    Raises:
        UserError: The data set cannot be read, or it is measured in tiles.
    """

    def __init__(self, checkpoint: Checkpoint, config: Mapping[str, Any]) -> None:
        if tiling_of(config.get("tiling")) is not None:
            raise UserError("postprocess: compares detections in whole images: leave out tiling.")
        if configured_views(config) is not None:
            raise UserError("postprocess: compares detections in one view: leave out tta.")
        if config.get("intervals"):
            raise UserError(
                "postprocess: the comparison of post-processors has no intervals: leave out "
                "intervals, then measure the best choice with intervals=true."
            )
        self._config = config
        self._classes = Classes(
            checkpoint.class_names, checkpoint.category_ids, checkpoint.class_counts
        )
        self._candidates = RecordedCandidates(config["model"])
        self._evaluation = evaluation_of(
            checkpoint, config, device=config["device"], detect=self._candidates.detect
        )
        self.split = self._evaluation.split.describe()
        self.notes: list[str] = []

    def __len__(self) -> int:
        return len(self._evaluation)

    def run(self, track: Track = iter) -> Measurement:
        """Run the network on all images; the measurement is the detector's own, as it is."""
        return self._evaluation.run(track)

    @property
    def path(self) -> str:
        """After `run`, the config path of the detector's post-processor."""
        return ".".join(("model", *self._candidates.path))

    @property
    def configured(self) -> Mapping[str, Any]:
        """After `run`, the node of the detector's post-processor."""
        node: Mapping[str, Any] = self._config["model"]
        for key in self._candidates.path:
            node = node[key]
        return node

    def summary(self) -> str:
        """After `run`, a line about the candidates."""
        limits = ", ".join(f"{key}={self.configured[key]}" for key in CANDIDATE_KEYS)
        count = counted(self._candidates.count(), "candidate")
        return f"{count} recorded before {self.path} ({limits})"

    def choices(self, names: Sequence[str], grid: Grid, measured: Measurement) -> list[Choice]:
        """The detector's own post-processor and all others, measured, best AP first.

        Args:
            names: Registered post-processors.
            grid: Values to try, by setting.
            measured: What `run` returned.

        Raises:
            UserError: A name or setting does not exist, or a value does not fit.
        """
        self.notes = check_grid(names, grid)
        settings = {key: value for key, value in self.configured.items() if key != "name"}
        first = Choice(
            self.configured["name"],
            settings,
            {key: settings[key] for key in grid if key in settings},
            measured.numbers,
            is_own=True,
        )
        tried = [c for c in expanded(self.configured, names, grid) if not _are_equal(c, first)]
        rows = [first, *map(self._measured, tried)]
        return sorted(rows, key=lambda choice: -choice.numbers.get("AP", 0.0))

    def detections(self, choice: Choice) -> list[DetectedBatch]:
        """After `run`, the detections that a choice makes of the candidates."""
        postprocess = registry.get("postprocess", choice.name)(**choice.settings)
        return [
            (recorded.batch, recorded.detections(postprocess))
            for recorded in self._candidates.batches
        ]

    def words(self, choice: Choice) -> list[str]:
        """The overrides that select a choice."""
        words, base = [], {k: a.default for k, a in _arguments(choice.name).items()}
        if choice.name == self.configured["name"]:
            base = dict(self.configured)
        else:
            words.append(f"{self.path}={choice.name}")
        changed = {key: value for key, value in choice.settings.items() if base[key] != value}
        return [*words, *(f"{self.path}.{k}={override_text(v)}" for k, v in changed.items())]

    def _measured(self, choice: Choice) -> Choice:
        start = perf_counter()
        detected = self.detections(choice)
        seconds = perf_counter() - start
        metric = assembly.build_metric(self._config, self._classes)
        for batch, detections in detected:
            metric.update(batch.image_ids, detections, batch.original_targets)
        return Choice(choice.name, choice.settings, choice.varied, metric.compute(), seconds)


def check_grid(names: Sequence[str], grid: Grid) -> list[str]:
    """Check the names and values of a comparison; return lines about settings that some lack.

    Raises:
        UserError: A name or setting does not exist, or a value does not fit.
    """
    registered = registry.names("postprocess")
    for name in names:
        if name not in registered:
            raise UserError(
                f"postprocess={name}: there is no such post-processor."
                f"{did_you_mean(name, registered)} There are {', '.join(registered)}."
            )
    notes = []
    for key, values in grid.items():
        _require_setting(key, names)
        for name in names:
            argument = _arguments(name).get(key)
            if argument is None:
                settings = ", ".join(k for k in _arguments(name) if k not in _SHARED)
                notes.append(f"{name} has no {key}" + (f"; it has {settings}" if settings else ""))
            else:
                _require_values(key, values, argument.annotation, name)
    return notes


def _require_setting(key: str, names: Sequence[str]) -> None:
    """Refuse a setting that none of the post-processors has, or that changes the candidates.

    Raises:
        UserError: It is one.
    """
    if key in CANDIDATE_KEYS:
        raise UserError(
            f"{key}: decides which candidates the network passes on, and all post-processors "
            "receive the same ones: set it for the run's own post-processor, such as "
            f"model.head.postprocess.{key}=VALUE, and compare again."
        )
    if not any(key in _arguments(name) for name in names):
        settings = dict.fromkeys(setting for name in names for setting in _arguments(name))
        raise UserError(
            f"{key}: none of {', '.join(names)} has this setting.{did_you_mean(key, settings)}"
        )


def _require_values(key: str, values: Sequence[Any], annotation: Any, name: str) -> None:
    """Refuse values that do not fit a setting.

    Raises:
        UserError: There is one.
    """
    for value in values:
        expected = check_value(annotation, value)
        if expected is not None:
            raise UserError(f"{key}={value}: expected {expected} for {name}.")


def expanded(configured: Mapping[str, Any], names: Sequence[str], grid: Grid) -> Iterator[Choice]:
    """All combinations of post-processors and of the values for settings that they have."""
    for name in dict.fromkeys(names):
        defaults = {key: argument.default for key, argument in _arguments(name).items()}
        inherited = {k: v for k, v in configured.items() if k in defaults}
        if name != configured["name"]:
            inherited = {k: v for k, v in inherited.items() if k in _SHARED}
        keys = [key for key in grid if key in defaults]
        for values in product(*(grid[key] for key in keys)):
            varied = dict(zip(keys, values, strict=True))
            yield Choice(name, {**defaults, **inherited, **varied}, varied)


def _arguments(name: str) -> Mapping[str, Any]:
    return arguments(registry.get("postprocess", name))


def _are_equal(first: Choice, second: Choice) -> bool:
    return (first.name, dict(first.settings)) == (second.name, dict(second.settings))
