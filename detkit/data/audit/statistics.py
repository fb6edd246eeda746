"""Statistics of a data set: images, objects, classes and sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.data.audit.evidence import Resizing, Split
from detkit.text import align_columns

Numbers = NDArray[np.float64]
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_COCO_SIZES = (32.0, 96.0)  # sides between small, medium and large objects of the COCO metric
_CELLS = 10  # rows and columns of the map of positions


@dataclass(frozen=True)
class Spread:
    """Mean and percentiles of numbers."""

    mean: float
    quantiles: dict[str, float]

    @staticmethod
    def of(values: Numbers | NDArray[np.int64]) -> Spread | None:
        """The spread of numbers; None without numbers."""
        if len(values) == 0:
            return None
        quantiles = np.quantile(values, _QUANTILES)
        names = [f"{share:.0%}" for share in _QUANTILES]
        return Spread(
            _short(float(np.mean(values))), dict(zip(names, map(_short, quantiles), strict=True))
        )

    @property
    def middle(self) -> float:
        """The median."""
        return self.quantiles["50%"]

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest."""
        return self.quantiles["0%"], self.quantiles["100%"]


@dataclass(frozen=True)
class ClassCount:
    """The counts of a class: objects, images that show one, and ignored objects."""

    objects: int
    images: int
    ignored: int


@dataclass(frozen=True)
class SplitStatistics:
    """One split in numbers; objects marked crowd or difficult are counted as ignored only.

    Attributes:
        images: Images that can be read.
        images_without_objects: Those that show none.
        objects: Objects to find.
        ignored: Objects marked crowd or difficult.
        left_out: Boxes that reading dropped.
        classes: Counts by class name.
        image_sizes: The commonest "width x height" and how many images have it.
        widths: Of the images.
        heights: Of the images.
        objects_per_image: Objects of an image, images without any among them.
        box_sides: Square roots of box areas, in pixels of the image.
        seen_sides: The same in pixels of the image as the detector gets it.
        box_shares: Box area as a share of the image.
        aspect_ratios: Width / height of boxes.
        seen_octaves: Boxes by seen side: below the finest stride, then from one stride to the next.
        coco_sizes: Small, medium and large objects as the COCO metric divides them.
        positions: Share of box centres in each cell of a map of the image, 10 rows of 10 columns.
    """

    images: int
    images_without_objects: int
    objects: int
    ignored: int
    left_out: int
    classes: dict[str, ClassCount]
    image_sizes: dict[str, int]
    widths: Spread | None
    heights: Spread | None
    objects_per_image: Spread | None
    box_sides: Spread | None
    seen_sides: Spread | None
    box_shares: Spread | None
    aspect_ratios: Spread | None
    seen_octaves: dict[str, int]
    coco_sizes: dict[str, int]
    positions: list[list[float]]


@dataclass(frozen=True)
class BoxMeasures:
    """The measures of a split's M objects, without the ignored ones.

    Attributes:
        sides: (M, 2) width and height in pixels of the image.
        seen: (M,) square root of the area as the detector gets it.
        share: (M,) area as a share of the image.
        centres: (M, 2) x and y as shares of the image's width and height.
        labels: (M,) classes.
        owners: (M,) position of the image.
    """

    sides: Numbers
    seen: Numbers
    share: Numbers
    centres: Numbers
    labels: NDArray[np.int64]
    owners: NDArray[np.int64]


def measure(split: Split, resizing: Resizing) -> BoxMeasures:
    """Measure the objects of a split."""
    index = split.index
    counts = ~index.ignored
    boxes, owners = index.boxes[counts].astype(np.float64), split.owners[counts]
    sides = boxes[:, 2:] - boxes[:, :2]
    images = index.sizes[:, ::-1].astype(np.float64)[owners]  # (M, 2) width and height
    areas = sides.prod(axis=1)
    return BoxMeasures(
        sides=sides,
        seen=np.sqrt(areas) * resizing.factors(index.sizes)[owners],
        share=areas / images.prod(axis=1),
        centres=(boxes[:, :2] + sides / 2) / images,
        labels=index.labels[counts],
        owners=owners,
    )


def split_statistics(split: Split, resizing: Resizing) -> SplitStatistics:
    """The numbers of one split."""
    index, boxes = split.index, measure(split, resizing)
    per_image = np.bincount(boxes.owners, minlength=len(index))
    sizes = Counter(f"{width} x {height}" for height, width in index.sizes.tolist())
    lengths = np.sqrt(boxes.sides.prod(axis=1))
    return SplitStatistics(
        images=len(index),
        images_without_objects=int((per_image == 0).sum()),
        objects=len(boxes.labels),
        ignored=int(index.ignored.sum()),
        left_out=split.lost("box"),
        classes=_classes(split, boxes),
        image_sizes=dict(sizes.most_common(10)),
        widths=Spread.of(index.sizes[:, 1].astype(np.float64)),
        heights=Spread.of(index.sizes[:, 0].astype(np.float64)),
        objects_per_image=Spread.of(per_image),
        box_sides=Spread.of(lengths),
        seen_sides=Spread.of(boxes.seen),
        box_shares=Spread.of(boxes.share),
        aspect_ratios=Spread.of(boxes.sides[:, 0] / boxes.sides[:, 1]),
        seen_octaves=_by_border(boxes.seen, resizing.strides),
        coco_sizes=_by_border(lengths, _COCO_SIZES),
        positions=_positions(boxes.centres),
    )


def _classes(split: Split, boxes: BoxMeasures) -> dict[str, ClassCount]:
    names = split.index.class_names
    objects = np.bincount(boxes.labels, minlength=len(names))
    pairs = np.unique(np.stack([boxes.owners, boxes.labels]), axis=1)
    images = np.bincount(pairs[1], minlength=len(names))
    ignored = np.bincount(split.index.labels[split.index.ignored], minlength=len(names))
    counts = zip(objects.tolist(), images.tolist(), ignored.tolist(), strict=True)
    return {name: ClassCount(*three) for name, three in zip(names, counts, strict=True)}


def _by_border(values: Numbers, borders: Sequence[float]) -> dict[str, int]:
    """Number of values below the first border, between each two, and from the last one on."""
    bins = np.searchsorted(borders, values, side="right")
    counts = np.bincount(bins, minlength=len(borders) + 1)
    texts = [f"{border:g}" for border in borders]
    between = [f"{low}-{high}" for low, high in pairwise(texts)]
    names = [f"<{texts[0]}", *between, f">={texts[-1]}"]
    return dict(zip(names, counts.tolist(), strict=True))


def _positions(centres: Numbers) -> list[list[float]]:
    cells = np.clip((centres * _CELLS).astype(np.int64), 0, _CELLS - 1)
    counts = np.bincount(cells[:, 1] * _CELLS + cells[:, 0], minlength=_CELLS**2)
    shares = (counts / max(len(centres), 1)).reshape(_CELLS, _CELLS)
    return [[round(value, 4) for value in row] for row in shares.tolist()]


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def statistics_as_plain(
    path: Path, statistics: dict[str, SplitStatistics], resizing: Resizing
) -> dict[str, Any]:
    """All statistics as plain values for JSON."""
    return {
        "path": str(path.absolute()),
        "resizing": asdict(resizing),
        "splits": {name: asdict(split) for name, split in statistics.items()},
    }


def statistics_as_text(path: Path, statistics: dict[str, SplitStatistics]) -> str:
    """Three tables with a column for each split: images and boxes, classes, sizes."""
    heading = [str(path), *statistics]
    rows = [heading, *_overview(list(statistics.values()))]
    names = list(dict.fromkeys(n for split in statistics.values() for n in split.classes))
    classes = [["objects (images) of each class", *statistics]]
    for name in names:
        counts = [split.classes.get(name, ClassCount(0, 0, 0)) for split in statistics.values()]
        classes.append([f"  {name}", *(f"{c.objects:,} ({c.images:,})" for c in counts)])
    octaves = [["boxes by side as the detector sees them", *statistics]]
    for name in next(iter(statistics.values())).seen_octaves:
        sizes = [(s.seen_octaves[name], max(s.objects, 1)) for s in statistics.values()]
        octaves.append([f"  {name} pixels", *(f"{n:,} ({n / of:.1%})" for n, of in sizes)])
    return _aligned(rows, classes, octaves)


def _overview(splits: Sequence[SplitStatistics]) -> list[list[str]]:
    def middle(spread: Spread | None) -> str:
        if spread is None:
            return "-"
        low, high = spread.ends
        return f"{spread.middle:g} ({low:g}-{high:g})"

    rows = {
        "images": [f"{s.images:,}" for s in splits],
        "  without objects": [f"{s.images_without_objects:,}" for s in splits],
        "  width, median (range)": [middle(s.widths) for s in splits],
        "  height": [middle(s.heights) for s in splits],
        "objects": [f"{s.objects:,}" for s in splits],
        "  crowd or difficult, besides": [f"{s.ignored:,}" for s in splits],
        "  dropped as faulty": [f"{s.left_out:,}" for s in splits],
        "  per image, median (range)": [middle(s.objects_per_image) for s in splits],
        "  side in pixels": [middle(s.box_sides) for s in splits],
        "  side as the detector sees it": [middle(s.seen_sides) for s in splits],
        "  width / height": [middle(s.aspect_ratios) for s in splits],
        "  small / medium / large (COCO)": [
            " / ".join(f"{n:,}" for n in s.coco_sizes.values()) for s in splits
        ],
    }
    return [[name, *cells] for name, cells in rows.items()]


def _aligned(*tables: Sequence[Sequence[str]]) -> str:
    """Tables with common column widths, numbers right-aligned."""
    rows = [row for table in tables for row in table]
    lines = iter(align_columns(rows, range(1, len(rows[0]))))
    return "\n\n".join("\n".join(islice(lines, len(table))) for table in tables)
