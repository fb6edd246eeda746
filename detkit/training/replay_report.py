"""The report of a replayed step, as lines and pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from detkit.runs.saved_step import SavedStep
from detkit.structures import Batch, Target
from detkit.text import agree, align_columns, counted
from detkit.training.risky_boxes import RiskyBox, risky_boxes
from detkit.training.step_replay import ModuleOutput, StepReplay
from detkit.visualization.draw import draw_target

_MOST_MODULES = 8
_MOST_OBJECTS = 20


def step_lines(step: SavedStep, precision: str, device: str) -> list[str]:
    """The step, and what may differ when it is replayed with a precision on a device."""
    of_rank = f", rank {step.rank} of {step.world_size}" if step.world_size > 1 else ""
    lines = [
        f"step {step.number} (epoch {step.epoch}{of_rank}), {counted(len(step.batch), 'image')}, "
        f"{step.precision} on {step.device}"
    ]
    if (precision, device) != (step.precision, step.device):
        lines.append(f"repeated with {precision} on {device}")
    if step.world_size > 1:
        lines.append("note: the ranks shared their normaliser; these losses are from one rank only")
    if step.weights_later:
        lines.append(
            f"note: the weights are {step.weights_later} optimizer steps later than the step "
            "(callbacks.non_finite.check_every was more than 1)"
        )
    return lines


def loss_lines(step: SavedStep, replay: StepReplay) -> list[str]:
    """Each loss part of the replay and of the saved step."""
    names = list(dict.fromkeys([*step.losses, *replay.losses]))
    rows = [("", "now", "when saved")]
    for name in names:
        now, then = replay.losses.get(name), step.losses.get(name)
        rows.append((name, _number(now), "the same" if _equal(now, then) else _number(then)))
    return _table(rows)


def module_lines(replay: StepReplay) -> list[str]:
    """The first calls with a non-finite output, or else the call with the largest output."""
    bad = _without_containers(replay.bad_modules)
    if not bad:
        return [f"the output of each module is finite; {_greatest(replay.modules)}"]
    rows = [("module", "kind", "input", "finite output from", "to")]
    for module in bad[:_MOST_MODULES]:
        state = f"finite, to {module.input_peak:.3g}" if module.input_finite else "not finite"
        low, high = (_number(None if math.isnan(v) else v) for v in (module.low, module.high))
        rows.append((module.name, module.kind, state, low, high))
    more = len(bad) - _MOST_MODULES
    heading = "modules whose output is not finite, in the order in which they ran:"
    return [heading, *_table(rows), *([f"  and {more} more after these"] if more > 0 else [])]


def gradient_lines(replay: StepReplay) -> list[str]:
    """The parameters with a non-finite gradient; nothing if a loss is not finite."""
    bad = replay.bad_gradients
    if not bad or replay.bad_losses:
        return []
    listed = ", ".join(bad[:_MOST_MODULES])
    more = ", ..." if len(bad) > _MOST_MODULES else ""
    count = f"{len(bad)} of {len(replay.gradients)}"
    return [f"gradients that are not finite ({count}, nearest to the loss first): {listed}{more}"]


def object_lines(batch: Batch, class_names: Sequence[str]) -> list[str]:
    """The files with their objects, and each unusual object."""
    lines = ["images:"]
    for path, target, (height, width) in zip(
        batch.paths, batch.targets.split(), batch.image_sizes, strict=True
    ):
        lines.append(f"  {path}: {width} x {height}, {_objects(target)}")
    odd = risky_boxes(batch, len(class_names))
    if not odd:
        return [*lines, "no box looks odd (area, finiteness, position, thinness, label)"]
    look = agree(len(odd), "looks", "look")
    lines.append(f"{counted(len(odd), 'object')} {look} odd:")
    lines += [f"  {_odd(risky_box, class_names)}" for risky_box in odd[:_MOST_OBJECTS]]
    more = len(odd) - _MOST_OBJECTS
    return [*lines, *([f"  and {more} more"] if more > 0 else [])]


def draw_batch(batch: Batch, class_names: Sequence[str], folder: Path) -> list[Path]:
    """Write the images as the detector sees them, with their objects except boxes of NaN."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, (image, size, target) in enumerate(
        zip(batch.images, batch.image_sizes, batch.targets.split(), strict=True), start=1
    ):
        has_class = (target.labels >= 0) & (target.labels < len(class_names))
        objects = target.select(has_class & target.boxes.isfinite().all(dim=1))
        path = folder / f"{number:02d}_{Path(batch.paths[number - 1]).stem}.png"
        draw_target(image[:, : size[0], : size[1]], objects, class_names).save(path)
        files.append(path)
    return files


def _without_containers(modules: Sequence[ModuleOutput]) -> list[ModuleOutput]:
    """Drop modules that contain a module before them in the list."""
    result: list[ModuleOutput] = []
    for module in modules:
        if not any(inner.name.startswith(f"{module.name}.") for inner in result):
            result.append(module)
    return result


def _objects(target: Target) -> str:
    count, ignored = len(target), int(target.ignored.sum())
    if not count:
        return "no objects"
    text = counted(count, "object")
    if ignored:
        text += f" ({ignored} ignored)"
    sides = (target.boxes[:, 2:] - target.boxes[:, :2]).prod(dim=1).clamp(min=0).sqrt()
    return f"{text}, sizes {float(sides.min()):.1f} to {float(sides.max()):.1f} pixels"


def _odd(risky_box: RiskyBox, class_names: Sequence[str]) -> str:
    name = (
        class_names[risky_box.label]
        if 0 <= risky_box.label < len(class_names)
        else f"label {risky_box.label}"
    )
    box = ", ".join(f"{value:.6g}" for value in risky_box.box)
    return f"{risky_box.path}: {name} [{box}]: {risky_box.reason}"


def _greatest(modules: Sequence[ModuleOutput]) -> str:
    measured = [m for m in modules if not math.isnan(m.low)]
    if not measured:
        return "no module was called"
    top = max(measured, key=lambda module: max(-module.low, module.high))
    return f"the largest are in {top}: {_number(top.low)} to {_number(top.high)}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def _equal(now: float | None, then: float | None) -> bool:
    if now is None or then is None:
        return False
    return now == then or (math.isnan(now) and math.isnan(then))


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"  {line}" for line in align_columns(rows)]
