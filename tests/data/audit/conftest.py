"""A small sound data set, and ways to spoil it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detkit.data.audit.evidence import gather
from detkit.data.audit.findings import Finding
from detkit.data.audit.rules import audit
from detkit.data.readers.coco_reader import CocoReader

WIDTH, HEIGHT = 64, 48
GOOD = [("cat", (4, 4, 20, 16)), ("dog", (30, 10, 24, 30))]


def scene(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Different blobs for each seed, so that no two seeds look alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


class Maker:
    """A COCO data set with 20 training and 10 validation images, a cat and a dog in each."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pages: dict[str, dict[str, Any]] = {}
        for split, first, count in (("train", 0, 20), ("val", 100, 10)):
            categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
            self.pages[split] = {"images": [], "annotations": [], "categories": categories}
            (root / split).mkdir()
            for number in range(first, first + count):
                self.add(split, f"{number}.png", number)

    def add(self, split: str, name: str, seed: int, objects: list = GOOD, **entry: Any) -> None:
        """One more image; `entry` goes over what its annotation says."""
        page = self.pages[split]
        scene(seed).save(self.root / split / name)
        number = len(page["images"]) + 1
        image = {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT, **entry}
        page["images"].append(image)
        for label, box in objects:
            self.annotate(split, number, label, box)

    def annotate(self, split: str, image: int, label: str, box: tuple, **entry: Any) -> None:
        """Add an object to an image; an unknown class gets a new id."""
        page = self.pages[split]
        ids = {category["name"]: category["id"] for category in page["categories"]}
        annotation = {"image_id": image, "category_id": ids.get(label, 99), "bbox": box}
        page["annotations"].append({"id": len(page["annotations"]) + 1, **annotation, **entry})

    def write(self) -> Path:
        for split, page in self.pages.items():
            (self.root / f"{split}.json").write_text(json.dumps(page))
        return self.root

    def evidence(self, **options: Any):
        return gather(CocoReader(), self.write(), **options)

    def findings(self) -> dict[str, Finding]:
        return {finding.kind: finding for finding in audit(self.evidence())}


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


@pytest.fixture
def scenes() -> Callable[..., Image.Image]:
    return scene
