"""Linear SVMs of several classes, with hard negative mining in bounded memory."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch
from torch import Tensor

_MEMORY = 2**31  # bytes of the features of all classes
# The values of R-CNN's code (rcnn_train.m).
_MEAN_NORM = 20.0  # of scaled features; `cost` depends on it
_POSITIVE_WEIGHT = 2.0
_BIAS_SCALE = 10.0
_HARD, _EASY = -1.0001, -1.2  # margins above and below which negatives are added and dropped
_REFIT_AFTER = 2000  # new negatives
_MOST_ITERATIONS = 10_000


class FittedSVMs(NamedTuple):
    """The SVMs of C classes on F features.

    Attributes:
        weight: (C, F).
        bias: (C,); NaN for a class without objects.
        unconverged: Labels of the classes whose solver stopped early.
    """

    weight: Tensor
    bias: Tensor
    unconverged: list[int]


class SVMs:
    """Fits a linear SVM for each class: first `add_objects`, then `add_regions`, then `fit`.

    Features come image by image. Each class holds a limited number of examples: objects evenly
    spread over the data set, and the negatives that its SVM scores highest.
    """

    def __init__(self, features: int, num_classes: int, *, cost: float) -> None:
        """SVMs without examples.

        Args:
            features: F.
            num_classes: C.
            cost: C of the SVMs, the weight of margin violations.
        """
        self.num_classes = num_classes
        most = max(_MEMORY // (4 * 2 * features * num_classes), 1)
        self._classes = [_ClassSVM(features, most, cost) for _ in range(num_classes)]
        self._norms, self._objects = 0.0, 0

    def add_objects(self, features: Tensor, labels: Tensor) -> None:
        """Add features (N, F) of objects with labels (N,)."""
        self._norms += features.norm(dim=1).sum().item()
        self._objects += len(features)
        for row, label in zip(features, labels.tolist(), strict=True):
            self._classes[label].add_positive(row)

    def add_regions(self, features: Tensor, is_negative: Tensor) -> None:
        """Add regions with features (R, F), where `is_negative` (R, C) of a class."""
        features = features * self._scale
        for svm, is_candidate in zip(self._classes, is_negative.T, strict=True):
            svm.add_hard_negatives(features, is_candidate, self._scale)

    def fit(self) -> FittedSVMs:
        """Fit each class on its examples."""
        for svm in self._classes:
            svm.fit(self._scale)
        weight = torch.stack([svm.weight for svm in self._classes]) * self._scale
        bias = torch.tensor([svm.bias if svm.positives else torch.nan for svm in self._classes])
        unconverged = [n for n, svm in enumerate(self._classes) if not svm.has_converged]
        return FittedSVMs(weight, bias, unconverged)

    @property
    def _scale(self) -> float:
        """The factor that gives the features of objects their mean norm."""
        return _MEAN_NORM * self._objects / self._norms if self._norms else 1.0


class _ClassSVM:
    """The SVM of one class, and its examples."""

    def __init__(self, features: int, most: int, cost: float) -> None:
        self.weight = torch.zeros(features)
        self.bias = 1.0  # optimal as long as there are no negatives
        self.positives: list[Tensor] = []
        self.has_converged = True
        self._negatives = torch.zeros(0, features)
        self._new: list[Tensor] = []
        self._most = most
        self._cost = cost
        self._seen, self._stride = 0, 1

    def add_positive(self, features: Tensor) -> None:
        """Add an object (F,), unscaled; with too many, only every second one stays."""
        if self._seen % self._stride == 0:
            self.positives.append(features.clone())
        self._seen += 1
        if len(self.positives) > self._most:
            self.positives = self.positives[::2]
            self._stride *= 2

    def add_hard_negatives(self, features: Tensor, is_candidate: Tensor, scale: float) -> None:
        """Add the scaled regions (R, F) inside the margin; refit after many of them."""
        if not self.positives:
            return
        hard = features[is_candidate & (features @ self.weight + self.bias > _HARD)]
        if not len(hard):
            return
        self._new.append(hard)
        is_first = not len(self._negatives)
        if is_first or sum(map(len, self._new)) >= min(_REFIT_AFTER, self._most):
            self.fit(scale)

    def fit(self, scale: float) -> None:
        """Fit the SVM if it has new negatives, then drop the easy ones."""
        if not self._new:
            return
        negatives = torch.cat([self._negatives, *self._new])
        self._new = []
        positives = torch.stack(self.positives) * scale
        self.weight, self.bias, self.has_converged = solve(positives, negatives, self._cost)
        margins = negatives @ self.weight + self.bias
        hardest = margins.sort(descending=True, stable=True).indices[: self._most]
        self._negatives = negatives[hardest[margins[hardest] >= _EASY]]


def solve(positives: Tensor, negatives: Tensor, cost: float) -> tuple[Tensor, float, bool]:
    """The linear SVM of positives (N, F) and negatives (M, F), by scikit-learn.

    Returns:
        Weights (F,), the bias, and whether the solver has converged.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    examples = torch.cat([positives, negatives]).numpy()
    labels = (torch.arange(len(examples)) < len(positives)).int().numpy()
    svm = LinearSVC(
        C=cost,
        loss="hinge",
        dual=True,
        intercept_scaling=_BIAS_SCALE,
        class_weight={1: _POSITIVE_WEIGHT},
        random_state=0,
        max_iter=_MOST_ITERATIONS,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # `n_iter_` tells
        svm.fit(examples, labels)
    weight = torch.from_numpy(svm.coef_[0]).float()
    return weight, float(svm.intercept_[0]), bool(svm.n_iter_ < _MOST_ITERATIONS)
