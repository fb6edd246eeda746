"""Train the small detectors of conf/experiment/bccd_320_*.yaml and write docs/bccd.md.

    python scripts/benchmark/bccd.py DATA --runs FOLDER [--pages fcos atss ...] [--core 0]

Each trains on one CPU core (`--core` binds it to one, so that two of these scripts do not meet). A
run that is in FOLDER already is not repeated. docs/bccd.json keeps the rows of the page; those of
detectors without a run in FOLDER stay.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "bccd.md"
ROWS = PAGE.with_suffix(".json")
PREFIX = "bccd_320_"
CLASSES = ("Platelets", "RBC", "WBC")
HEAD = """\
# BCCD: {number} detectors, from scratch, on one core

`python scripts/benchmark/bccd.py DATA --runs FOLDER` writes this page. The data are BCCD's
photographs of blood cells, 205 for training and 87 for validation (the published split), at 320 x
240. Each detector trains from scratch with seed 0, on one CPU core with one loader process. The
networks are small: timm's `cs3darknet_s` with the detector's neck and head, or YOLO with its nano
backbone. Metrics are COCO's, from the best of the validations every four epochs, which is
slightly optimistic. Minutes are CPU time, including start, loading and validation.

`bccd_320_yolov5` and `bccd_320_yolov3` were measured before their losses were normalised as in
their sources (the objectness of YOLOv5 as a mean over cells, the sums of YOLOv3 divided by the
number of images), and not again since.

| `experiment=` | parameters (M) | epochs | CPU minutes | AP | AP50 | AP75 | {classes} |
|---|---|---|---|---|---|---|{lines}|
"""


def train(page: str, data: Path, folder: Path, core: int | None) -> None:
    """Train a page and store its cost in its run folder."""
    command = [
        *([] if core is None else ["taskset", "-c", str(core)]),
        *(sys.executable, str(ROOT / "scripts" / "train.py"), f"experiment={PREFIX}{page}"),
        *(f"data.path={data}", "data.workers=1", f"run_folder={folder}"),
    ]
    before, start = cpu_seconds(), time.monotonic()
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    cost = {"cpu": cpu_seconds() - before, "wall": time.monotonic() - start}
    (folder / "cost.json").write_text(json.dumps(cost) + "\n")


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def row(folder: Path) -> list[str]:
    """The cells of a finished run, from the parameters on."""
    numbers: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    config = yaml.safe_load((folder / "config.yaml").read_text())
    cost = json.loads((folder / "cost.json").read_text())
    log = (folder / "train.log").read_text()
    return [
        log.split(" M parameters")[0].rsplit(" ", 1)[1],
        str(config["trainer"]["max_epochs"]),
        f"{cost['cpu'] / 60:.1f}" if cost["cpu"] else "not measured",
        *(f"{numbers[name]:.3f}" for name in ("AP", "AP50", "AP75")),
        *(f"{numbers[f'AP/{c}']:.3f} / {numbers[f'AP50/{c}']:.3f}" for c in CLASSES),
    ]


def write_page(rows: dict[str, list[str]]) -> None:
    """Write the rows, the highest AP first."""
    ordered = sorted(rows.items(), key=lambda item: item[1][3], reverse=True)
    lines = [f"| `{PREFIX}{name}` | {' | '.join(cells)} |" for name, cells in ordered]
    classes = " | ".join(f"{name} AP / AP50" for name in CLASSES)
    dashes = "|".join("---" for _ in CLASSES)
    head = HEAD.format(number=len(rows), classes=classes, lines=dashes)
    PAGE.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--pages", nargs="*")
    parser.add_argument("--core", type=int)
    options = parser.parse_args()
    found = sorted(path.stem for path in (ROOT / "conf/experiment").glob(f"{PREFIX}*.yaml"))
    for page in options.pages or [stem.removeprefix(PREFIX) for stem in found]:
        if not (options.runs / page / "cost.json").exists():
            train(page, options.data, options.runs / page, options.core)
    rows: dict[str, list[str]] = json.loads(ROWS.read_text(encoding="utf-8"))
    rows |= {path.parent.name: row(path.parent) for path in options.runs.glob("*/cost.json")}
    ROWS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    write_page(rows)


if __name__ == "__main__":
    main()
