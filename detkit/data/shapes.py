"""The embedded data set `shapes`: rendered from a seed, written as a COCO folder."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from detkit.data.drawing.scene import CLASS_NAMES, draw_scene
from detkit.errors import DataError

LOGGER = logging.getLogger("detkit.data")
MARKER = "shapes.json"
VERSION = 4  # raise when the pictures change, so that old folders are rendered again
_OWN_ENTRIES = {MARKER, "annotations", "train", "val"}
_JPEG_QUALITY = 92


def render_shapes(
    folder: Path,
    *,
    train_images: int,
    validation_images: int,
    image_size: int,
    seed: int,
    clutter: float = 0.5,
) -> bool:
    """Render the data set into a folder unless it is there with the same settings.

    The folder appears whole or not at all: pictures are drawn into a folder beside it, which is
    then renamed. An older rendering is replaced; a folder of anything else is never touched.

    Returns:
        Whether anything was rendered.

    Raises:
        DataError: The folder holds something that was not rendered here.
    """
    settings: dict[str, Any] = {
        "data_set": "shapes",
        "version": VERSION,
        "train_images": train_images,
        "validation_images": validation_images,
        "image_size": image_size,
        "seed": seed,
        "clutter": clutter,
    }
    if _read_marker(folder) == settings:
        return False
    _require_own(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    side = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        start = time.perf_counter()
        counts = (("train", train_images), ("val", validation_images))
        for number, (split, count) in enumerate(counts):
            _render_split(side, split, count, seed=(seed, number), size=image_size, clutter=clutter)
        (side / MARKER).write_text(json.dumps(settings, indent=2) + "\n")
        side.chmod(0o755)
        _swap(side, folder, settings)
        seconds = time.perf_counter() - start
        images = train_images + validation_images
        LOGGER.info("rendered %d images into %s in %.1f s", images, folder, seconds)
    finally:
        shutil.rmtree(side, ignore_errors=True)
    return True


def _read_marker(folder: Path) -> Any:
    try:
        return json.loads((folder / MARKER).read_text())
    except (OSError, ValueError):
        return None


def _require_own(folder: Path) -> None:
    """Raise DataError unless a folder is absent, empty, or an earlier rendering."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise DataError(f"'{folder}' is a file; set data.path to a folder to render shapes into.")
    entries = {entry.name for entry in folder.iterdir()}
    marker = _read_marker(folder)
    own = isinstance(marker, dict) and marker.get("data_set") == "shapes"
    foreign = sorted(entries - _OWN_ENTRIES if own else entries)
    if foreign:
        raise DataError(
            f"'{folder}' holds {', '.join(foreign[:5])}, which the renderer of shapes did not "
            "write, so it is left as it is. Set data.path to a new folder."
        )


def _swap(side: Path, folder: Path, settings: dict[str, Any]) -> None:
    """Put a finished rendering in its place, an older one out of it."""
    old = side.with_name(f"{side.name}-old")
    try:
        if folder.exists():
            os.replace(folder, old)
        os.replace(side, folder)
    except OSError:
        if _read_marker(folder) != settings:  # another process was not faster, so it is an error
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _render_split(
    folder: Path, split: str, count: int, *, seed: tuple[int, int], size: int, clutter: float
) -> None:
    """Render one split; picture i depends on the seed and i only, not on how many there are."""
    (folder / split).mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(count):
        random = np.random.default_rng([*seed, number])
        pixels, objects = draw_scene(random, size, clutter)
        name = f"{number:06d}.jpg"
        Image.fromarray(pixels).save(
            folder / split / name, quality=_JPEG_QUALITY, subsampling="4:4:4"
        )
        images.append({"id": number + 1, "file_name": name, "width": size, "height": size})
        for item in objects:
            x1, y1, x2, y2 = item.box
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number + 1,
                    "category_id": CLASS_NAMES.index(item.name) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": round(item.area, 2),
                    "iscrowd": int(item.ignored),
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASS_NAMES, start=1)]
    page = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(page))
