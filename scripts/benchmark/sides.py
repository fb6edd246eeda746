"""Builders shared by these scripts: our detectors, their inputs, and made-up outputs.

Ultralytics and LibreYOLO are only compared with. Ultralytics is kept from reaching for the network
and from writing into the home folder. A script leaves out the rows of a peer that is not installed.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

import detkit
from detkit.structures import Batch, DensePredictions, PaddedTargets, Target

_SETTINGS = tempfile.TemporaryDirectory(prefix="ultralytics-")  # gone when the process ends
os.environ.update(YOLO_CONFIG_DIR=_SETTINGS.name, YOLO_OFFLINE="true", YOLO_VERBOSE="false")


def has_ultralytics() -> bool:
    """Whether Ultralytics is installed."""
    return find_spec("ultralytics") is not None


def has_libreyolo() -> bool:
    """Whether LibreYOLO is installed."""
    return find_spec("libreyolo") is not None


def command_of(name: str) -> str:
    """The path of a command, first beside this interpreter.

    Raises:
        RuntimeError: It is not installed.
    """
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    path = shutil.which(name, path=folders)
    if path is None:
        raise RuntimeError(f"there is no command {name}: is the extra 'bench' installed?")
    return path


class Given(nn.Module):
    """Layers of a head that return prepared tensors."""

    def __init__(self, logits: Tensor, codes: Tensor) -> None:
        super().__init__()
        self.answer = DensePredictions(logits, codes, None)

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """The same for all features."""
        return self.answer


def our_detector(page: str, classes: int, *words: str) -> nn.Module:
    """The detector of a page, with this number of classes and further overrides."""
    config = detkit.compose([f"model={page}", *words])
    return detkit.build(config, class_names=[str(i) for i in range(classes)])


def random_targets(
    images: int, objects: int, classes: int, side: int, sides: tuple[int, int] = (20, 200)
) -> list[Target]:
    """Random objects for each image: sides in a range of pixels, inside a square image."""
    found = []
    low, high = sides
    for _ in range(images):
        lengths = low + torch.rand(objects, 2) * (min(high, side - 1) - low)
        corner = torch.rand(objects, 2) * (side - lengths)
        labels = torch.randint(classes, (objects,))
        boxes = torch.cat([corner, corner + lengths], dim=1)
        found.append(Target(boxes, labels, torch.zeros(objects, dtype=torch.bool)))
    return found


def batch_of(images: Tensor, targets: Sequence[Target]) -> Batch:
    """A batch like the loader's, of unresized images (B, 3, H, W)."""
    count, _, height, width = images.shape
    sizes = [(height, width)] * count
    same = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
    ids, paths = list(range(count)), [""] * count
    objects = list(targets)
    return Batch(images, sizes, PaddedTargets.of(objects), objects, ids, paths, sizes, same)
