"""What metrics promise: numbers in 0..1 that count each image once."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch

from detkit.contracts import scenes
from detkit.contracts.case import BrokenContractError, Subject
from detkit.contracts.tensor_checks import require, unchanged
from detkit.interfaces import Metric
from detkit.structures import Detections, Target

_MEMBERS = ("meanings", "update", "state", "merge", "compute", "reset")


def _perfect(target: Target) -> Detections:
    return Detections(target.boxes, torch.linspace(0.9, 0.5, len(target)), target.labels)


def _images(count: int = 4) -> tuple[list[int], list[Detections], list[Target]]:
    """Image ids, detections of which every second image has none, and objects."""
    targets = [scenes.objects(3, seed=number) for number in range(count)]
    found = [_perfect(t) if n % 2 == 0 else Detections.empty() for n, t in enumerate(targets)]
    return [10 + number for number in range(count)], found, targets


def _numbers(metric: Any) -> dict[str, float]:
    found = metric.compute()
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise BrokenContractError(f"`compute` gave {type(found).__name__}, expected a dict.")
    for name, value in found.items():
        fits = isinstance(value, float) and (math.isnan(value) or 0 <= value <= 1)
        require(fits, f"'{name}' is {value!r}, expected a float in 0..1 or NaN.")
    require(
        "AP" in found,
        "`compute` gave no 'AP', by which the best checkpoint is chosen; there are "
        f"{', '.join(list(found)[:6]) or 'no numbers'}.",
    )
    return found


def it_has_all_members(subject: Subject) -> None:
    """`meanings`, `update`, `state`, `merge`, `compute`, `reset`."""
    metric = subject.build()
    if not isinstance(metric, Metric):
        lacking = [name for name in _MEMBERS if not hasattr(metric, name)]
        raise BrokenContractError(f"it lacks {', '.join(lacking)}.")


def perfect_detections_are_best(subject: Subject) -> None:
    """All objects found exactly is 1, nothing found is 0."""
    ids, _, targets = _images()
    metric = subject.build()
    with unchanged(targets):
        metric.update(ids, [_perfect(target) for target in targets], targets)
    best = _numbers(metric)["AP"]
    require(math.isclose(best, 1, abs_tol=1e-6), f"perfect detections have AP {best}, not 1.")
    metric = subject.build()
    metric.update(ids, [Detections.empty() for _ in ids], targets)
    worst = _numbers(metric)["AP"]
    require(worst == 0, f"without detections AP is {worst}, not 0.")


def images_without_objects_do_no_harm(subject: Subject) -> None:
    """No image, no object, nothing but crowds, a thousand objects."""
    metric = subject.build()
    _numbers(metric)
    crowd = scenes.objects(2)
    crowd = Target(crowd.boxes, crowd.labels, torch.ones(2, dtype=torch.bool))
    for number, target in enumerate([Target.empty(), crowd, scenes.objects(scenes.MANY)]):
        metric.update([number], [_perfect(scenes.objects(2))], [target])
        _numbers(metric)


def _require_equal(found: dict[str, float], expected: dict[str, float], said: str) -> None:
    same = found.keys() == expected.keys() and all(
        value == expected[name] or (math.isnan(value) and math.isnan(expected[name]))
        for name, value in found.items()
    )
    require(same, f"{said} AP is {found.get('AP')} and should be {expected.get('AP')}.")


def an_image_counts_once(subject: Subject) -> None:
    """Given twice it counts once, as where images do not divide evenly over ranks."""
    ids, found, targets = _images()
    once, twice = subject.build(), subject.build()
    once.update(ids, found, targets)
    twice.update(ids, found, targets)
    twice.update(ids[:1], found[:1], targets[:1])
    said = "an image that was given twice changed the numbers: keep images by their id."
    _require_equal(_numbers(twice), _numbers(once), said)


def ranks_together_equal_one_process(subject: Subject) -> None:
    """States are copied to other ranks, and may hold the same image."""
    ids, found, targets = _images()
    whole, first, second = (subject.build() for _ in range(3))
    whole.update(ids, found, targets)
    first.update(ids[:3], found[:3], targets[:3])
    second.update(ids[2:], found[2:], targets[2:])
    first.merge([copy.deepcopy(second.state())])  # as pickle would, on its way to another rank
    said = "two ranks together gave other numbers than one process:"
    _require_equal(_numbers(first), _numbers(whole), said)


def reset_forgets_all(subject: Subject) -> None:
    """After it the metric is as new."""
    ids, found, targets = _images()
    used, fresh = subject.build(), subject.build()
    used.update([1, 2], found[:2], targets[2:])
    used.reset()
    for metric in (used, fresh):
        metric.update(ids, found, targets)
    _require_equal(_numbers(used), _numbers(fresh), "`reset` left something behind:")
