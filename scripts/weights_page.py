"""Write docs/weights.md: the weight files that detkit reads, and how exactly it reproduces them.

    python scripts/weights_page.py            the page, with the differences measured before
    python scripts/weights_page.py --measure  first run the comparisons

The comparisons are tests, which need mmdet, detectron2, ultralytics and libreyolo; `--measure`
replaces the results of the sources that could be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE, RESULTS = ROOT / "docs" / "weights.md", ROOT / "docs" / "weights.json"
# The variable that tests/parity/measured_differences.py reads.
VARIABLE = "DETKIT_MEASURED_DIFFERENCES"
TESTS = tuple(
    f"tests/parity/test_imported_{library}.py"
    for library in ("mmdet", "detectron2", "ultralytics", "yolox")
)
# Comparisons that only assert a limit: source, detector, compared, limit, test.
LIMITS = [
    (
        "torchvision",
        "RetinaNet, RetinaNet v2, FCOS",
        "scores; boxes (pixels) of detections",
        "1e-5; 0.01",
        "test_imported_detectors.py",
    ),
    (
        "torchvision",
        "RetinaNet, FCOS",
        "losses and gradients (relative)",
        "1e-5",
        "test_torchvision_detectors.py",
    ),
    (
        "torchvision",
        "Faster R-CNN, v2",
        "scores; boxes (pixels) of detections",
        "1e-5; 0.01",
        "test_imported_two_stage.py",
    ),
    (
        "torchvision",
        "Mask R-CNN, v2",
        "losses (relative); boxes (pixels); masks",
        "1e-5; 0.01; 1e-4",
        "test_torchvision_masks.py",
    ),
    (
        "torchvision",
        "SSD300, SSDlite",
        "scores; boxes (pixels) of detections",
        "1e-5; 0.01",
        "test_imported_ssd.py",
    ),
    (
        "MMDetection",
        "Cascade R-CNN R50-FPN",
        "scores; boxes (pixels) of detections",
        "1e-4; 0.02",
        "test_imported_mmdet.py",
    ),
    (
        "DETR's authors",
        "DETR R50",
        "class logits; boxes (shares of the image)",
        "1e-4",
        "test_published_detr.py",
    ),
    (
        "transformers",
        "DETR R50",
        "class logits, boxes, losses",
        "1e-4",
        "test_transformers_detr.py",
    ),
    (
        "Darknet",
        "YOLOv2 to YOLOv4, tiny versions",
        "raw outputs (share of the largest)",
        "1e-5",
        "test_darknet.py",
    ),
    ("Darknet", "YOLOv1", "raw outputs (share of the largest)", "1e-5", "test_darknet_yolov1.py"),
]
HEAD = """\
# Weights of other libraries

Made by `python scripts/weights_page.py`. `detkit import FILE` recognises the library by the names
of the file's tensors, chooses the model page, and reports which tensors it used; `as=PAGE` chooses
another page. Names of other libraries in settings: [from-mmdetection.md](from-mmdetection.md),
[from-detectron2.md](from-detectron2.md), [from-ultralytics.md](from-ultralytics.md).

Each row compares detkit with the library itself: the library's model gets random weights, its state
dict goes through `detkit import`, and both models see the same small images. The networks are
whole; no layer is left out. Files that hold Python objects are refused with the line that saves
their tensors alone. Ultralytics publishes its code and weights under AGPL-3.0.

## Measured

Largest absolute difference over all values; "relative" ones are shares of the library's value.
MMDetection ran with mmcv-lite, whose missing compiled operations torchvision's NMS and RoIAlign
replaced. Of its two-stage detectors, the raw outputs are the RPN's; their losses sample regions at
random and were not compared. YOLOX has one class per box in MMDetection, and Ultralytics clips
boxes after NMS, so their boxes were compared before NMS. MMDetection's losses were compared for
RetinaNet, FCOS, ATSS and SSD300 alone. Those of YOLOv8 and YOLO11 have the settings of
from-ultralytics.md; their objects are large, because Ultralytics adds 1e-9 to the divisor of class
targets, which shows where boxes hardly overlap.

Detectron2 ran from its Python sources (PyPI's copy, `pb1-detectron2`) without its compiled
operations (deformable convolutions, rotated boxes), which these detectors do not use. Files were
pickled NumPy arrays, as in its model zoo. Raw outputs of two-stage detectors are the RPN's.
RetinaNet clips boxes after NMS, so NMS was off. Losses and gradients of Faster and Cascade R-CNN
were compared with all anchors and regions, since samples are random, and the divisors of the RPN's
and RetinaNet's losses were replaced by the numbers of anchors. In Cascade R-CNN, the objects were
not among the regions, and only gradients of the RPN and the last stage were compared, since it
scales those of the features. Rounding moves a few values across the kinks of ReLU and L1, which
shows in gradients. Losses of masks differ: see from-detectron2.md.

"""
LIMITS_HEAD = """\
## Limits of tests

These comparisons fail above the limit. Some record no difference, others had not been measured when
the page was written."""
COLUMNS = ("from", "detector", "compared", "largest difference")


def measured() -> list[dict[str, Any]]:
    """Run the comparisons, and return what they recorded.

    Raises:
        SystemExit: A comparison failed.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "records.jsonl"
        file.touch()
        environment = os.environ | {VARIABLE: str(file)}
        command = [sys.executable, "-m", "pytest", "-q", "-m", "slow", *TESTS]
        if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
            raise SystemExit("a comparison failed, so the page was not written")
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def largest(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One record for each source, detector and kind of value, with the largest difference."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for record in records:
        key = (record["source"], record["detector"], record["compared"])
        if key not in rows or rows[key]["difference"] < record["difference"]:
            rows[key] = record
    return [rows[key] for key in sorted(rows)]


def merged(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The new records, and the old ones of sources that were not compared again."""
    sources = {record["source"] for record in new}
    return largest([*(record for record in old if record["source"] not in sources), *new])


def table(rows: list[tuple[str, ...]], columns: tuple[str, ...]) -> str:
    """A Markdown table."""
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def page(records: list[dict[str, Any]]) -> str:
    """The text of docs/weights.md."""
    rows = [(r["source"], r["detector"], r["compared"], f"{r['difference']:.1e}") for r in records]
    limits = [(*cells, f"`tests/parity/{test}`") for *cells, test in LIMITS]
    tests = ", ".join(f"`{test}`" for test in TESTS)
    parts = [
        HEAD + table(rows, COLUMNS),
        f"The tests: {tests}; they skip where the library is not installed.",
        LIMITS_HEAD,
        table(limits, ("from", "detector", "compared", "limit", "test")),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Measure if asked to, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true", help="run the comparisons first")
    records = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    if parser.parse_args().measure:
        records = merged(records, measured())
        RESULTS.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(records), encoding="utf-8")


if __name__ == "__main__":
    main()
