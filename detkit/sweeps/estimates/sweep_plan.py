"""The cost of each job of a sweep, and which cannot run, before any of them starts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from detkit.config.compose import hydra_compose
from detkit.config.composition import composing
from detkit.config.hydra_session import hydra_session
from detkit.config.overrides import has_no_list, jobs, prepared
from detkit.config.part_overrides import subject
from detkit.config.sweep_jobs import Cell
from detkit.errors import ConfigError, UserError
from detkit.sweeps.estimates.training_cost import Estimate, Estimator
from detkit.text import LONGEST_CELL, align_columns, counted, listed, split_setting

GIB = 2**30
_UNKNOWN = "?"
_HEADS = ["minutes", "parameters (M)", "GFLOP", "priors", "memory (GiB)"]


@dataclass(frozen=True)
class Planned:
    """A job of a sweep with its estimate.

    Attributes:
        words: Its overrides of the swept keys.
        estimate: Its cost, or None if it cannot run.
        problems: The reasons why it cannot run.
    """

    words: list[str]
    estimate: Estimate | None
    problems: list[str]


def with_params(prepared_words: list[str]) -> list[str]:
    """Add the overrides of `hydra.sweeper.params`, from pages or the command line.

    A swept override replaces the value of its key in a page, as when the sweep runs.
    """
    values: dict[str, Any] = {}
    with composing(), hydra_session():
        for words in jobs([word for word in prepared_words if not has_no_list(word)]):
            try:
                composed, _ = hydra_compose("train", words)
            except (ConfigError, HydraException, OmegaConfBaseException):
                continue  # `plan` reports cells that cannot be composed
            params = composed.hydra.sweeper.get("params")
            values = OmegaConf.to_container(params) if params else {}  # type: ignore[assignment]
            break
    typed = {subject(word) for word in prepared_words}
    from_params = prepared([f"{key}={value}" for key, value in values.items()])
    return [*prepared_words, *(word for word in from_params if subject(word) not in typed)]


def plan(cells: Iterable[Cell], estimator: Estimator) -> list[Planned]:
    """Build each cell on the meta device and estimate its cost."""
    return [_planned(cell, estimator) for cell in cells]


def _planned(cell: Cell, estimator: Estimator) -> Planned:
    if cell.config is None:
        return Planned(cell.words, None, cell.problems)
    try:
        return Planned(cell.words, estimator(cell.config), [])
    except ConfigError as error:
        return Planned(cell.words, None, error.problems)
    except UserError as error:
        return Planned(cell.words, None, [str(error)])


def plan_table(planned: Sequence[Planned], most: int) -> list[str]:
    """A line for each cell, up to `most`; with a column for image sizes if they differ."""
    estimates = [cell.estimate for cell in planned if cell.estimate]
    parts = ["weights", "gradients", "optimizer", "average", "activations"]
    if not any(cell.memory and cell.memory.average for cell in estimates):
        parts.remove("average")
    sized = len({cell.images for cell in estimates}) > 1
    keys = list(dict.fromkeys(key for cell in planned for key, _ in map(split_setting, cell.words)))
    heads = [*keys, *(["images"] if sized else []), *_HEADS, *parts]
    rows = []
    for cell in planned[:most]:
        values = dict(map(split_setting, cell.words))
        rows.append([*(values.get(key, "") for key in keys), *_numbers(cell, sized, parts)])
    lines = align_columns(
        [heads, *rows], range(len(keys) + sized, len(heads)), longest=LONGEST_CELL
    )
    more = len(planned) - most
    return [*lines, *([f"... and {counted(more, 'more cell')}"] if more > 0 else [])]


def minutes_text(minutes: float) -> str:
    """Rough minutes with two digits: 0.4, 3.2, 45, 1,300."""
    if minutes < 10:  # noqa: PLR2004  # two digits
        return f"{minutes:.1f}"
    digits = len(str(round(minutes))) - 2
    return f"{round(minutes, -digits):,.0f}"


def classes_text(planned: Iterable[Planned]) -> str:
    """The number of classes; the numbers of all data sets if cells differ."""
    counts = sorted({cell.estimate.classes for cell in planned if cell.estimate})
    if len(counts) == 1:
        return counted(counts[0], "class")
    return f"{listed(counts, 'or')} classes" if counts else ""


def images_text(planned: Iterable[Planned]) -> str:
    """The image size; empty if cells differ, because the table then has a column for it."""
    sizes = {cell.estimate.images for cell in planned if cell.estimate}
    return f"images of {sizes.pop()}" if len(sizes) == 1 else ""


def _numbers(planned: Planned, sized: bool, parts: list[str]) -> list[str]:
    estimate = planned.estimate
    if estimate is None:
        return [*([""] if sized else []), "cannot run", *[""] * (len(_HEADS) - 1 + len(parts))]
    memory = estimate.memory
    flops = _UNKNOWN if estimate.operations is None else f"{estimate.operations / 1e9:,.1f}"
    priors = _UNKNOWN if estimate.priors is None else f"{estimate.priors:,}"
    sizes = [_UNKNOWN] * (1 + len(parts))
    if memory is not None:
        sizes = [f"{getattr(memory, name) / GIB:.2f}" for name in ("total", *parts)]
    images = [estimate.images] if sized else []
    minutes = _UNKNOWN if estimate.minutes is None else minutes_text(estimate.minutes)
    return [*images, minutes, f"{estimate.parameters / 1e6:,.2f}", flops, priors, *sizes]


def problem_lines(planned: Sequence[Planned]) -> list[str]:
    """Each distinct problem with the cells that have it."""
    having: dict[str, list[Planned]] = {}
    for cell in planned:
        for problem in cell.problems:
            having.setdefault(problem, []).append(cell)
    several = len(planned) > 1
    return [
        f"{problem}{_cells_text(cells, len(planned)) if several else ''}"
        for problem, cells in having.items()
    ]


def _cells_text(cells: list[Planned], everything: int) -> str:
    if len(cells) == everything:
        return " (all cells)"
    if len(cells) == 1:
        return f" (cell {' '.join(cells[0].words)})"
    return f" ({counted(len(cells), 'cell')}, the first {' '.join(cells[0].words)})"


def left_out_lines(planned: Iterable[Planned]) -> list[str]:
    """Lines that list what the numbers do not include, without repetitions."""
    texts = (text for cell in planned if cell.estimate for text in cell.estimate.left_out)
    return [f"not counted: {text}" for text in dict.fromkeys(texts)]
