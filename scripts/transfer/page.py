"""Write docs/transfer.md: what pretrained weights, freezing and the recipe are worth.

    python scripts/transfer/page.py                             the page, from the runs so far
    python scripts/transfer/page.py --data BCCD --weights FILE  run what is missing, then the page
    python scripts/transfer/page.py ... --only grid --seeds 1   no studies, one seed of the grid

BCCD is the folder of the blood cells, in Pascal VOC format; FILE has ImageNet weights of
tf_efficientnet_lite0 under timm's names. Each run trains on one thread, in a study for the same
minutes of processor time, in the grid for the steps that fit into them.
scripts/transfer/results.json keeps its AP, so that an interrupted script continues; remove a row
there to run it again.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from xml.etree import ElementTree

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from train_by_processor_time import metrics_after  # noqa: E402

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
PLAN: dict[str, Any] = yaml.safe_load((HERE / "plan.yaml").read_text(encoding="utf-8"))
PAGE = ROOT / "docs" / "transfer.md"
SEEDS = (0, 1, 2)
STUDIES = ("finetune", "recipe", "scratch", "mosaics")


class Run(NamedTuple):
    """One training: its name in results.json, its data, and the rest of its words."""

    name: str
    data: str
    words: list[str]
    seed: int


def grid_runs(seeds: Iterable[int], results: dict[str, Any]) -> Iterator[Run]:
    """Every detector, number of photographs and start; all of one seed before the next.

    First comes one short run for each speed: how many steps fit into the minutes of the grid.
    Runs of this number of steps give the same AP whatever else the machine does meanwhile.
    """
    minutes = PLAN["speed_minutes"]
    for detector, detector_words in PLAN["detectors"].items():
        for speed, speed_words in PLAN["speeds"].items():
            length = f"trainer.max_minutes={minutes}"
            words = [*PLAN["grid"], *detector_words, *speed_words, length]
            yield Run(f"speed/{detector}/{speed}", PLAN["photographs"][0], words, seed=0)
    for seed in seeds:
        for data in PLAN["photographs"]:
            for detector, detector_words in PLAN["detectors"].items():
                for name, start in PLAN["starts"].items():
                    steps = steps_in_grid(detector, start["speed"], results)
                    length = f"trainer.max_steps={steps}"
                    words = [*PLAN["grid"], *detector_words, *start["words"], length]
                    yield Run(f"grid/{data}/{detector}/{name}/{seed}", data, words, seed)


def steps_in_grid(detector: str, speed: str, results: dict[str, Any]) -> int:
    """The number of steps that fit into the minutes of the grid."""
    steps: int = results[f"speed/{detector}/{speed}"]["steps"]
    factor: float = PLAN["grid_minutes"] / PLAN["speed_minutes"]
    return round(steps * factor)


def study_runs(study: str) -> Iterator[Run]:
    """Every choice on every data set: the words of the study with one change each."""
    for choice, change in PLAN[study]["choices"].items():
        for seed in change.get("seeds", [0]):
            for data in PLAN[study]["data"]:
                detector = {**PLAN["detectors"], **PLAN["small_detectors"]}[change["detector"]]
                size = f"image_size={PLAN['sizes'][data.split()[0]]}"
                words = [*PLAN[study]["words"], *detector, size, *change.get("words", [])]
                yield Run(f"{study}/{data}/{choice}/{seed}", data, words, seed)


def data_words(data: str, bccd: Path, folder: Path, seed: int) -> list[str]:
    """The words of a data set such as `bccd 50` or `shapes 150`, drawn with a seed."""
    kind, number = data.split()
    if kind == "shapes":
        return ["data=shapes", f"data.reader.train_images={number}"]
    photographs = folder / "photographs"
    write_subset(bccd, photographs, int(number), seed)
    if kind == "white":
        keep_class(photographs / "Annotations", "WBC")
    return [f"data.path={photographs}"]


def keep_class(annotations: Path, name: str) -> None:
    """Remove the objects of the other classes from Pascal VOC files."""
    for path in annotations.iterdir():
        tree = ElementTree.parse(path)
        root = tree.getroot()
        for item in [item for item in root.findall("object") if item.findtext("name") != name]:
            root.remove(item)
        tree.write(path)


def write_subset(bccd: Path, folder: Path, number: int, seed: int) -> None:
    """Copy annotations, link photographs, and draw a part of the train split; val is whole."""
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    (folder / "JPEGImages").symlink_to((bccd / "JPEGImages").resolve())
    (folder / "Annotations").mkdir()
    for path in (bccd / "Annotations").iterdir():
        shutil.copyfile(path, folder / "Annotations" / path.name)
    lists = bccd / "ImageSets" / "Main"
    names = sorted((lists / "train.txt").read_text().split())
    drawn = sorted(random.Random(seed).sample(names, number))
    (folder / "ImageSets/Main/train.txt").write_text("\n".join(drawn) + "\n")
    (folder / "ImageSets/Main/val.txt").write_text((lists / "val.txt").read_text())


def run_missing(runs: Iterator[Run], bccd: Path, weights: Path, results: dict[str, Any]) -> None:
    """Run what has no result yet."""
    for run in runs:
        if run.name in results:
            continue
        with TemporaryDirectory() as folder:
            data = data_words(run.data, bccd, Path(folder), run.seed)
            words = [*PLAN["common"], *data, *run.words, f"seed={run.seed}"]
            words = [word.replace("WEIGHTS", str(weights)) for word in words]
            metrics = metrics_after(words, last_validation=True)
        numbers = {name: round(metrics[name], 4) for name in ("AP", "AP50", "steps")}
        results.update(stored_results(), **{run.name: numbers})  # another script may run as well
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(run.name, numbers, flush=True)


def stored_results() -> dict[str, Any]:
    if not RESULTS.exists():
        return {}
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return results


def grid_table(results: dict[str, Any]) -> str:
    """One row per detector and measured number of photographs, one column per start."""
    rows = [["detector", "photographs", *PLAN["starts"]]]
    rows.append(["---"] * len(rows[0]))
    for detector in PLAN["detectors"]:
        for data in PLAN["photographs"]:
            names = [f"grid/{data}/{detector}/{start}" for start in PLAN["starts"]]
            cells = [grid_cell(results, name) for name in names]
            if any(cells):
                rows.append([detector, data.split()[1], *cells])
    return table(rows)


def grid_cell(results: dict[str, Any], name: str) -> str:
    """Mean AP of the seeds, their range, and AP50; empty without a run."""
    runs = runs_of(results, name)
    if not runs:
        return ""
    seeds = "" if len(runs) == len(SEEDS) else f", {len(runs)} of {len(SEEDS)} seeds"
    return f"{mean(runs, 'AP')}{spread(runs)}, AP50 {mean(runs, 'AP50')}{seeds}"


def runs_of(results: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The results of a training with every seed so far."""
    return [results[f"{name}/{seed}"] for seed in SEEDS if f"{name}/{seed}" in results]


def mean(runs: list[dict[str, Any]], metric: str) -> str:
    return f"{statistics.fmean(run[metric] for run in runs):.3f}"


def spread(runs: list[dict[str, Any]]) -> str:
    """The lowest and the highest AP; empty for one seed."""
    aps = [run["AP"] for run in runs]
    return f" ({min(aps):.3f} to {max(aps):.3f})" if len(runs) > 1 else ""


def steps_text(results: dict[str, Any]) -> str:
    """The steps of each detector whose speeds are known, with all parts trained and with fewer."""
    texts = []
    for detector in PLAN["detectors"]:
        if all(f"speed/{detector}/{speed}" in results for speed in PLAN["speeds"]):
            steps = [str(steps_in_grid(detector, speed, results)) for speed in PLAN["speeds"]]
            texts.append(f"{detector} {' and '.join(steps)}")
    return ", ".join(texts)


def study_table(study: str, results: dict[str, Any]) -> str:
    """One row per measured choice, one column per data set: AP / AP50."""
    rows = [["choice", "words", *PLAN[study]["data"]]]
    rows.append(["---"] * len(rows[0]))
    for choice, change in PLAN[study]["choices"].items():
        cells = [runs_of(results, f"{study}/{data}/{choice}") for data in PLAN[study]["data"]]
        if not any(cells):
            continue
        numbers = [
            f"{mean(runs, 'AP')}{spread(runs)} / {mean(runs, 'AP50')}" if runs else ""
            for runs in cells
        ]
        rows.append([choice, " ".join(f"`{word}`" for word in change.get("words", [])), *numbers])
    return table(rows)


def table(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write_page(results: dict[str, Any]) -> None:
    text = (HERE / "page.md").read_text(encoding="utf-8")
    text = text.replace("<<grid>>", grid_table(results)).replace("<<steps>>", steps_text(results))
    for study in STUDIES:
        text = text.replace(f"<<{study}>>", study_table(study, results))
        words = " ".join(f"`{word}`" for word in PLAN[study]["words"])
        text = text.replace(f"<<words of {study}>>", words)
    PAGE.write_text(text, encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="BCCD")
    parser.add_argument("--weights", type=Path, metavar="FILE")
    parser.add_argument("--only", nargs="+", choices=[*STUDIES, "grid"], default=[*STUDIES, "grid"])
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=SEEDS)
    options = parser.parse_args()
    if (options.data is None) != (options.weights is None):
        parser.error("--data and --weights are needed together")
    results = stored_results()
    if options.data:
        for kind in options.only:
            runs = grid_runs(options.seeds, results) if kind == "grid" else study_runs(kind)
            run_missing(runs, options.data, options.weights.resolve(), results)
    write_page(results)


if __name__ == "__main__":
    main()
