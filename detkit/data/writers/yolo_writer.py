"""YOLO: images/<split>/, labels/<split>/ and data.yaml, as Ultralytics documents them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from detkit.data.readers.yolo_labels import shares_of
from detkit.data.splits import SYNONYMS
from detkit.data.writers.conversion_input import UNDIVIDED, Material, Picture

_DIGITS = (6, 9, 12)
# Suffixes of images in Ultralytics 8.4 (ultralytics/data/utils.py, IMG_FORMATS) and in 8.3.
READ_BY_ULTRALYTICS = (
    *(".bmp", ".dng", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp", ".heic"),
)
_NO_SPLITS = """\
# The source has no splits, but Ultralytics requires `train:` and `val:`. Convert it again with
# split=0.8, or add both, each with a folder of images or a text file that lists some.
"""


def image_place(picture: Picture) -> str:
    """Path of an image in the data set."""
    return f"images/{picture.home}/{picture.name}" if picture.home else f"images/{picture.name}"


def write(folder: Path, material: Material) -> None:
    """Write label files and a data.yaml that Ultralytics trains from without changes.

    It has no `path`: Ultralytics and detkit then use the folder of data.yaml, even after a move. A
    split that shares images with another becomes a text file that lists its images.
    """
    for picture in material.pictures:
        image = Path(image_place(picture))
        file = folder / Path("labels", *image.parts[1:]).with_suffix(".txt")
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = zip(picture.labels.tolist(), picture.boxes.tolist(), strict=True)
        lines = (f"{label} {shares_text(box, picture.size)}\n" for label, box in rows)
        file.write_text("".join(lines), encoding="utf-8")
    page: dict[str, object] = {}
    for split, pictures in material.splits.items():
        if split != UNDIVIDED:
            page[key_of(split, list(material.splits))] = _split(folder, split, pictures, material)
    page["names"] = dict(enumerate(material.class_names))
    text = yaml.safe_dump(page, sort_keys=False, allow_unicode=True)
    comment = _NO_SPLITS if UNDIVIDED in material.splits else ""
    (folder / "data.yaml").write_text(comment + text, encoding="utf-8")


def key_of(split: str, splits: list[str]) -> str:
    """The name of a split in data.yaml, which requires `train` and `val`."""
    for key, names in SYNONYMS.items():
        if key not in splits and next((n for n in names if n in splits), None) == split:
            return key
    return split


def _split(
    folder: Path, split: str, pictures: list[tuple[int, Picture]], material: Material
) -> str:
    home_pictures = [picture for picture in material.pictures if picture.home == split]
    if [id(picture) for _, picture in pictures] == [id(picture) for picture in home_pictures]:
        return f"images/{split}"
    name = f"{split}.txt"
    lines = (f"./{image_place(picture)}\n" for _, picture in pictures)
    (folder / name).write_text("".join(lines), encoding="utf-8")
    return name


def shares_text(box: list[float], size: tuple[int, int]) -> str:
    """Centre, width and height as shares of the image, in as many digits as the box needs.

    Reading gives back the same float32 corners; those between 0 and 1/1000 of a pixel to 1e-12.
    """
    height, width = size
    x1, y1, x2, y2 = (v / s for v, s in zip(box, (width, height) * 2, strict=True))
    w, h = x2 - x1, y2 - y1
    values = (x1 + w / 2, y1 + h / 2, w, h)
    for digits in _DIGITS:
        texts = [f"{value:.{digits}f}" for value in values]
        if _read(texts, size) == box:
            return " ".join(texts)
    return " ".join(repr(value) for value in values)


def _read(texts: list[str], size: tuple[int, int]) -> list[float]:
    height, width = size
    sides = (width, height) * 2
    corners = zip(shares_of(*map(float, texts)), sides, strict=True)
    read = [min(max(share * side, 0.0), float(side)) for share, side in corners]
    return list(np.array(read, dtype=np.float32).tolist())
