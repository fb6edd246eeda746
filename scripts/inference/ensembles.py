"""Test-time augmentation and ensembles on BCCD: AP with and without, and the gain's interval.

    python scripts/inference/page.py --measure ensembles --set ensembles.data=BCCD \
        ensembles.weights=FILE ensembles.runs=FOLDER

Trains an ATSS and an anchor-free YOLO for two minutes of processor time each, unless FOLDER has
them already. Each network sees every view of every image once; all merges use these detections.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from detkit import assembly
from detkit.api.augmented_backend import ViewBackend
from detkit.api.image_inputs import ImageToRead
from detkit.api.run_backend import open_run
from detkit.api.view_settings import ViewSettings, view_settings
from detkit.data.detection_dataset import DetectionDataset
from detkit.data.evaluation_split import measured_split
from detkit.evaluation.bootstrap import BootstrapSettings
from detkit.evaluation.coco_metric import CocoMetric
from detkit.evaluation.paired_comparison import align, paired_numbers
from detkit.inference.augmented_views import AugmentedViews, View
from detkit.structures import DetectionArrays, Detections

ROOT = Path(__file__).resolve().parents[2]
DETECTORS = {
    "ATSS": [
        *("model=atss", "model/backbone=timm", "model.backbone.model=tf_efficientnet_lite0"),
        *("model.neck.out_channels=64", "model.head.layers.convs=2"),
    ],
    "anchor-free YOLO": [
        *("model=yolo_free_n", "model/backbone=timm"),
        "model.backbone.model=tf_efficientnet_lite0",
    ],
}
COMMON = [
    *("experiment=finetune", "freeze=null", "augmentation.close_mosaic=3", "trainer.max_minutes=2"),
    *("trainer.max_epochs=100000", "trainer.validate_every=100000", "data.workers=0"),
    *("data.validation_batch_size=16", "callbacks.pictures=null", "image_size=320"),
]
VIEWS = {
    "mirrored": AugmentedViews(flip=True),
    "scales .8, 1, 1.2": AugmentedViews(scales=(0.8, 1.0, 1.2)),
    "scales .8, 1, 1.2, mirrored": AugmentedViews(flip=True, scales=(0.8, 1.0, 1.2)),
}
PLAIN = View(1.0, mirrored=False)
MERGES: list[dict[str, Any] | None] = [
    None,  # the default
    {"name": "weighted_boxes_fusion"},
    {"name": "nms", "iou_threshold": 0.6},
    {"name": "soft_nms"},
    {"name": "matrix_nms", "minimum_score": 0.001},
]


class Image(NamedTuple):
    """An image with the detections of each detector in each view."""

    image_id: int
    target: Any
    by_view: Mapping[tuple[str, View], DetectionArrays]


def measure(options: Mapping[str, str]) -> dict[str, Any]:
    """AP of every combination of views and detectors with every merge."""
    runs = Path(options.get("runs", "runs/ensembles")).resolve()
    data = str(Path(options.get("data", ROOT / "../shared/data/bccd")).resolve())
    for name, words in DETECTORS.items():
        if not (folder := _folder(runs, name)).is_dir():
            _train([*COMMON, *words, f"data.path={data}", f"weights={options['weights']}"], folder)
    backends = {name: open_run(str(_folder(runs, name)), "cpu", ()) for name in DETECTORS}
    images = list(_detected(backends, data))
    first = next(iter(backends.values()))
    compare = Comparison(images, first.class_names, first.category_ids)
    rows = []
    for name in DETECTORS:
        plain = compare.metric(lambda image, name=name: image.by_view[name, PLAIN])
        rows.append({**compare.row(name, "one", None, plain, plain), "merge": None})
        for views, augmented in VIEWS.items():
            keys = [(name, view) for view in augmented]
            rows += compare.merges(name, views, [keys], plain)
    better = max(DETECTORS, key=lambda n: next(r["AP"] for r in rows if r["detector"] == n))
    plain = compare.metric(lambda image: image.by_view[better, PLAIN])
    for views, augmented in {"one": [PLAIN], **VIEWS}.items():
        groups = [[(name, view) for view in augmented] for name in DETECTORS]
        rows += compare.merges("both", views, groups, plain)
    weights = [2.0 if name == better else 1.0 for name in DETECTORS]
    groups = [[(name, view) for view in VIEWS["mirrored"]] for name in DETECTORS]
    rows += compare.merges(f"both, {better} twice", "mirrored", groups, plain, weights)
    return {"images": len(images), "better": better, "rows": rows}


def table(rows: Mapping[str, Any]) -> str:
    """A line for each combination: the default merge with its gain, and AP of the other merges."""
    measured, better = rows["rows"], rows["better"]
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in measured:
        groups.setdefault((row["detector"], row["views"]), []).append(row)
    others = [_merge_name(row["merge"]) for row in max(groups.values(), key=len)[1:]]
    heads = ["detector", "views", "AP", "AP50", "gain of AP", *others]
    lines = [
        f"{rows['images']} validation images of BCCD; detectors after two minutes of training each "
        "(`experiment=finetune`, 320 pixels). AP, AP50 and the gain are those of the default "
        "merge, the last columns the AP of other merges. The gain is over the same detector "
        f"without views, for both detectors over {better} alone; in brackets its 95 % interval "
        "(paired bootstrap over images). The default was chosen on these images, so its gains are "
        f'a little optimistic. "{better} twice" weights it 2 to 1 (`ckpt_weights`).',
        "",
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
        *(_line(group, len(others)) for group in groups.values()),
    ]
    return "\n".join(lines)


def _line(group: Sequence[Mapping[str, Any]], columns: int) -> str:
    row, *others = group
    gain = f"{row['gain']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})" if row["merge"] else "-"
    figures = [f"{row['AP']:.3f}", f"{row['AP50']:.3f}", gain]
    other_figures = [f"{other['AP']:.3f}" for other in others] or ["-"] * columns
    return f"| {' | '.join([row['detector'], row['views'], *figures, *other_figures])} |"


def _merge_name(merge: Mapping[str, Any]) -> str:
    settings = [f"{key}={value}" for key, value in merge.items() if key != "name"]
    return f"`{' '.join([merge['name'], *settings])}`"


class Comparison:
    """Merges detections that exist already, and compares their AP.

    Args:
        images: All images with their detections.
        names: Names of the classes.
        ids: The data set's id of each class.
    """

    def __init__(self, images: Sequence[Image], names: Sequence[str], ids: Sequence[int]) -> None:
        self._images, self._names, self._ids = images, list(names), list(ids)

    def metric(self, detections: Callable[[Image], DetectionArrays]) -> CocoMetric:
        """A metric that has seen all images."""
        metric = CocoMetric(class_names=self._names, category_ids=self._ids)
        for image in self._images:
            found = Detections.of(detections(image))
            metric.update([image.image_id], [found], [image.target])
        return metric

    def merges(
        self,
        detector: str,
        views: str,
        groups: Sequence[Sequence[tuple[str, View]]],
        baseline: CocoMetric,
        weights: Sequence[float] | None = None,
    ) -> list[dict[str, Any]]:
        """A row for each merge.

        Args:
            detector: Names the detectors.
            views: Names the views.
            groups: Views to merge; several groups are merged again, as views of an ensemble are.
            baseline: One detector that sees one view.
            weights: Of the groups.
        """
        rows = []
        for node in MERGES:
            settings = view_settings(len(DETECTORS), merge=node, weights=weights)
            assert settings is not None  # there are two detectors

            def detections(image: Image, by: ViewSettings = settings) -> DetectionArrays:
                parts = [_merged([image.by_view[k] for k in keys], by) for keys in groups]
                return parts[0] if len(parts) == 1 else by.merging(parts, by.weights)

            rows.append(self.row(detector, views, node, self.metric(detections), baseline))
        return rows

    def row(
        self,
        detector: str,
        views: str,
        merge: Mapping[str, Any] | None,
        metric: CocoMetric,
        baseline: CocoMetric,
    ) -> dict[str, Any]:
        """AP, AP50, and the gain over the baseline with its 95 % interval."""
        numbers = metric.compute()
        matches = align(metric.matches()[""], baseline.matches()[""])
        paired = paired_numbers(*matches, BootstrapSettings(), sizes=False)["AP"]
        return {
            "detector": detector,
            "views": views,
            "merge": dict(merge) if merge else {"name": "default"},
            "AP": numbers["AP"],
            "AP50": numbers["AP50"],
            "gain": paired.difference,
            "low": paired.interval.low,
            "high": paired.interval.high,
        }


def _merged(views: Sequence[DetectionArrays], settings: ViewSettings) -> DetectionArrays:
    return views[0] if len(views) == 1 else settings.view_merging(views)


def _detected(backends: Mapping[str, ViewBackend], data: str) -> Iterator[Image]:
    """Each validation image with the detections of each detector in each view."""
    first = next(iter(backends.values()))
    config = first.evaluation_config([f"data.path={data}"])
    whole = {**config, "augmentation": {"train": {}, "evaluation": {}}}
    labelled = assembly.build_data(whole).with_classes(list(first.class_names))
    dataset = DetectionDataset(
        measured_split(labelled, "validation").index, transforms={}, seed=0, is_measured=True
    )
    views = dict.fromkeys(view for augmented in VIEWS.values() for view in augmented)
    for position in range(len(dataset)):
        sample = dataset.read(position)
        pixels = sample.image.permute(1, 2, 0).numpy()
        by_view = {}
        for (name, backend), view in product(backends.items(), views):
            image = ImageToRead(view.pixels(pixels).view, Path(sample.path), "the image")
            is_plain = view.scale == 1
            prepared = (
                backend.prepare(image) if is_plain else backend.prepare_scaled(image, view.scale)
            )
            (found,) = backend.predict([prepared])
            by_view[name, view] = view.back(found, sample.original_size)
        yield Image(sample.image_id, sample.original_target, by_view)


def _folder(runs: Path, name: str) -> Path:
    return runs / name.rsplit(maxsplit=1)[-1].lower()


def _train(words: Sequence[str], folder: Path) -> None:
    script = ROOT / "scripts" / "train_by_processor_time.py"
    command = [sys.executable, str(script), *words, f"run_folder={folder}"]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
