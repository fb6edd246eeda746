"""Detections cut out of their images."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from io import BytesIO

from detkit.registry import register
from detkit.structures.predictions import PredictedImage, Predictions

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')  # in the name of a folder, on some system


@register("writer", "crops")
class Crops:
    """crops/CLASS/NAME-1.png: each detection cut out of its image, in a folder for each class."""

    def image_files(self, image: PredictedImage) -> Iterable[tuple[str, bytes]]:
        """A picture of each detection, numbered from the best one."""
        if not image.record.labels:
            return
        folders = folder_names(image.class_names)
        pairs = zip(image.record.labels, image.crops(), strict=True)
        for number, (label, crop) in enumerate(pairs, start=1):
            content = BytesIO()
            crop.save(content, format="PNG")
            yield f"crops/{folders[label]}/{image.record.name}-{number}.png", content.getvalue()

    def final_files(self, predictions: Predictions) -> Iterable[tuple[str, Iterable[str]]]:
        """None."""
        return ()


def folder_names(class_names: Sequence[str]) -> list[str]:
    """A folder name for each class; names that become equal, ignoring case, get a number."""
    used: set[str] = set()
    folders = []
    for class_name in class_names:
        base = _UNSAFE.sub("_", class_name).strip(". ") or "_"
        folder, number = base, 1
        while folder.casefold() in used:
            number += 1
            folder = f"{base}-{number}"
        used.add(folder.casefold())
        folders.append(folder)
    return folders
