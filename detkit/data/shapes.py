"""The embedded data set `shapes`: rendered from a seed, written as a COCO folder."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask

from detkit.data.drawing.scene import CLASS_NAMES, draw_scene
from detkit.errors import DataError

LOGGER = logging.getLogger("detkit.data")
MARKER = "shapes.json"
VERSION = 5  # raise when pictures or annotations change, so that old folders are rendered again
_OWN_ENTRIES = {MARKER, "annotations", "train", "val"}
_UNFINISHED = ".unfinished-"  # how the folder begins that is drawn into
_JPEG_QUALITY = 92
_DIGITS = 10  # of the hash


@dataclass(frozen=True)
class ShapesSettings:
    """All that the pictures depend on.

    Attributes:
        train_images: Images of the train split.
        validation_images: Images of the val split.
        image_size: Height and width of the images.
        seed: The same seed renders the same pictures.
        clutter: 0 is plain, 1 is faint objects on crowded ground.
    """

    train_images: int
    validation_images: int
    image_size: int
    seed: int
    clutter: float = 0.5

    @property
    def marker(self) -> dict[str, Any]:
        """The content of the marker file of a complete rendering."""
        settings = asdict(self) | {"clutter": float(self.clutter)}
        return {"data_set": "shapes", "version": VERSION, **settings}

    @property
    def short_hash(self) -> str:
        """The same for the same settings, on every machine."""
        return hashlib.sha256(json.dumps(self.marker).encode()).hexdigest()[:_DIGITS]


def shapes_below(path: Path, settings: ShapesSettings) -> Path:
    """The folder with the shapes of some settings, rendered if missing.

    It is a subfolder of the path, named after the settings: several settings can coexist, and none
    is replaced while a training reads it. If an older release rendered the same settings into the
    path itself, that is used.

    Raises:
        DataError: The path holds something that was not rendered here.
    """
    folder = path / settings.short_hash
    if _read_marker(folder) == settings.marker:
        return folder
    if _read_marker(path) == settings.marker:
        return path
    _require_free(folder, settings)
    _require_own(path)
    _render(folder, settings)
    return folder


def render_shapes(
    folder: Path,
    *,
    train_images: int,
    validation_images: int,
    image_size: int,
    seed: int,
    clutter: float = 0.5,
) -> bool:
    """Render the data set into a folder unless the same settings were rendered there.

    Returns:
        Whether anything was rendered.

    Raises:
        DataError: The folder holds something else, or shapes of other settings.
    """
    return _render(
        folder, ShapesSettings(train_images, validation_images, image_size, seed, clutter)
    )


def _render(folder: Path, settings: ShapesSettings) -> bool:
    """Render into a folder unless it exists; return whether anything was rendered.

    The folder appears whole or not at all: pictures are drawn into a folder beside it, which is
    then renamed. What is there is never replaced.
    """
    if _read_marker(folder) == settings.marker:
        return False
    _require_free(folder, settings)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        side = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder.parent))
    except OSError as error:
        raise DataError(
            f"the embedded data set is rendered into '{folder.parent}', which cannot be written "
            f"({error.strerror}): add data=shapes data.path=FOLDER with a folder that you may "
            "write to, or data.path=DATA for your own images."
        ) from error
    try:
        start = time.perf_counter()
        counts = {"train": settings.train_images, "val": settings.validation_images}
        for number, (split, count) in enumerate(counts.items()):
            _render_split(side, split, count, number, settings)
        (side / MARKER).write_text(json.dumps(settings.marker, indent=2) + "\n")
        side.chmod(0o755)
        _put(side, folder, settings)
        seconds = time.perf_counter() - start
        LOGGER.info("rendered %d images into %s in %.1f s", sum(counts.values()), folder, seconds)
    finally:
        shutil.rmtree(side, ignore_errors=True)
    return True


def _read_marker(folder: Path) -> Any:
    try:
        return json.loads((folder / MARKER).read_text())
    except (OSError, ValueError):
        return None


def _is_rendering(folder: Path) -> bool:
    marker = _read_marker(folder)
    return isinstance(marker, dict) and marker.get("data_set") == "shapes"


def _require_own(path: Path) -> None:
    """Raise DataError unless a path is absent, or holds renderings alone, finished or not."""
    _require_no_file(path)
    entries = sorted(path.iterdir()) if path.exists() else []
    rendered = _OWN_ENTRIES if _is_rendering(path) else set()
    _require_no_others(
        path,
        [
            entry.name
            for entry in entries
            if entry.name not in rendered
            and not entry.name.startswith(_UNFINISHED)
            and not _is_rendering(entry)
        ],
    )


def _require_free(folder: Path, settings: ShapesSettings) -> None:
    """Raise DataError unless a folder is absent or empty."""
    _require_no_file(folder)
    marker = _read_marker(folder)
    if _is_rendering(folder):
        differing = ", ".join(
            f"{key} {marker.get(key)}, not {value}"
            for key, value in settings.marker.items()
            if marker.get(key) != value
        )
        raise DataError(
            f"'{folder}' holds shapes of other settings ({differing}), which stay as they are. "
            "Name another folder."
        )
    _require_no_others(folder, sorted(e.name for e in folder.iterdir()) if folder.exists() else [])


def _require_no_file(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"'{folder}' is a file; set data.path to a folder to render shapes into.")


def _require_no_others(folder: Path, foreign: Sequence[str]) -> None:
    if foreign:
        raise DataError(
            f"'{folder}' holds {', '.join(foreign[:5])}, which the renderer of shapes did not "
            "write, so it is left as it is. Set data.path to a new folder."
        )


def _put(side: Path, folder: Path, settings: ShapesSettings) -> None:
    """Put a finished rendering in its place, unless another process was faster."""
    try:
        os.replace(side, folder)  # fails if the folder is not empty
    except OSError:
        if _read_marker(folder) != settings.marker:
            raise


def _encoded(pixels: NDArray[np.bool_]) -> dict[str, Any]:
    """The pixels (H, W) of an object in COCO's run-length encoding."""
    encoded = mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
    return {"size": list(pixels.shape), "counts": encoded["counts"].decode("ascii")}


def _render_split(
    folder: Path, split: str, count: int, position: int, settings: ShapesSettings
) -> None:
    """Render one split; picture i depends on the seed and i only, not on how many there are."""
    (folder / split).mkdir()
    size = settings.image_size
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(count):
        random = np.random.default_rng([settings.seed, position, number])
        pixels, objects = draw_scene(random, size, settings.clutter)
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
                    "segmentation": _encoded(item.pixels),
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASS_NAMES, start=1)]
    page = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(page))
