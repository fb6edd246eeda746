"""Contracts of metrics: numbers in 0..1 for which each image counts once."""

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
    """Image ids, detections (none in every second image) and objects."""
    targets = [scenes.objects(3, seed=number) for number in range(count)]
    detections = [_perfect(t) if n % 2 == 0 else Detections.empty() for n, t in enumerate(targets)]
    return [10 + number for number in range(count)], detections, targets


def _numbers(metric: Any) -> dict[str, float]:
    numbers = metric.compute()
    if not isinstance(numbers, dict) or not all(isinstance(name, str) for name in numbers):
        raise BrokenContractError(f"`compute` returned {type(numbers).__name__}, expected a dict.")
    for name, value in numbers.items():
        fits = isinstance(value, float) and (math.isnan(value) or 0 <= value <= 1)
        require(fits, f"'{name}' is {value!r}, expected a float in 0..1 or NaN.")
    require(
        "AP" in numbers,
        "`compute` returned no 'AP', which selects the best checkpoint; it returned "
        f"{', '.join(list(numbers)[:6]) or 'no numbers'}.",
    )
    return numbers


def it_has_all_members(subject: Subject) -> None:
    """`meanings`, `update`, `state`, `merge`, `compute`, `reset`."""
    metric = subject.build()
    if not isinstance(metric, Metric):
        missing = [name for name in _MEMBERS if not hasattr(metric, name)]
        raise BrokenContractError(
            f"it lacks {', '.join(missing)}: derive it from MetricBase, or define them."
        )


def perfect_detections_have_an_ap_of_1(subject: Subject) -> None:
    """AP is 1 if every object is detected exactly, and 0 without detections."""
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


def images_without_objects_are_handled(subject: Subject) -> None:
    """No image, no object, only crowds, a thousand objects."""
    metric = subject.build()
    _numbers(metric)
    crowd = scenes.objects(2)
    crowd = Target(crowd.boxes, crowd.labels, torch.ones(2, dtype=torch.bool))
    for number, target in enumerate([Target.empty(), crowd, scenes.objects(scenes.MANY)]):
        metric.update([number], [_perfect(scenes.objects(2))], [target])
        _numbers(metric)


def _require_equal(numbers: dict[str, float], expected: dict[str, float], message: str) -> None:
    same = numbers.keys() == expected.keys() and all(
        value == expected[name] or (math.isnan(value) and math.isnan(expected[name]))
        for name, value in numbers.items()
    )
    require(same, f"{message} AP is {numbers.get('AP')}, expected {expected.get('AP')}.")


def each_image_counts_once(subject: Subject) -> None:
    """Images can occur twice, since ranks pad their share of the images."""
    ids, detections, targets = _images()
    once, twice = subject.build(), subject.build()
    once.update(ids, detections, targets)
    twice.update(ids, detections, targets)
    twice.update(ids[:1], detections[:1], targets[:1])
    message = "an image that was added twice changed the numbers: store images by id."
    _require_equal(_numbers(twice), _numbers(once), message)


def merged_ranks_equal_one_process(subject: Subject) -> None:
    """The states of ranks are merged; two ranks may have the same image."""
    ids, detections, targets = _images()
    whole, first, second = (subject.build() for _ in range(3))
    whole.update(ids, detections, targets)
    first.update(ids[:3], detections[:3], targets[:3])
    second.update(ids[2:], detections[2:], targets[2:])
    first.merge([copy.deepcopy(second.state())])  # as pickle does between ranks
    message = "two merged ranks gave other numbers than one process."
    _require_equal(_numbers(first), _numbers(whole), message)


def reset_clears_all_state(subject: Subject) -> None:
    """After `reset` the metric equals a new one."""
    ids, detections, targets = _images()
    used, fresh = subject.build(), subject.build()
    used.update([1, 2], detections[:2], targets[2:])
    used.reset()
    for metric in (used, fresh):
        metric.update(ids, detections, targets)
    _require_equal(_numbers(used), _numbers(fresh), "`reset` does not clear the whole state.")
