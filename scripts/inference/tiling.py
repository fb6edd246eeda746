"""Tiles: AP on large pictures with small objects, time beside SAHI, and the cost of decoding.

    python scripts/inference/page.py --measure tiling --set tiling.folder=/tmp/tiles

Options: `folder` for data and runs, which a second call uses again (a temporary one), `steps` of
the training on tiles (1200) and `whole_steps` of the one on whole pictures (150), and `train` and
`val`, the numbers of pictures (40 and 20).

A picture is 6 x 6 scenes of the embedded data set `shapes` side by side, each of 128 x 128 pixels
and one in three with objects, mostly of 18 to 72 pixels. One detector learns from tiles. Another
one continues from its weights on whole pictures that are resized to twice the side of a tile.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import detkit
from detkit.data.detection_dataset import Key
from detkit.data.drawing.backgrounds import ground
from detkit.data.drawing.scene import CLASS_NAMES, draw_scene
from detkit.data.image_cache import CacheSettings, ImageCaches
from detkit.data.readers.coco_reader import CocoReader
from detkit.data.tiled_dataset import TiledDataset
from detkit.data.tiling import TrainingTiles, cut_index
from detkit.pixels.pixel_format import RGB8

SCENE, SIDE, TILE, OVERLAP, CLUTTER = 128, 6, 160, 0.25, 0.3
WITH_OBJECTS = 3  # one scene in so many
PICTURE, TILING = SCENE * SIDE, {"size": TILE, "overlap": OVERLAP}
ROUNDS, THRESHOLD = 5, 0.3
PHOTO = (3000, 4000)  # of the decoding measurement
METRICS = ("AP", "AP50", "AP_small", "AP_medium")
TRAINING = [
    "experiment=demo",
    "data=folder",
    f"image_size={TILE}",
    f"data.tiling={{size: {TILE}, overlap: {OVERLAP}}}",
    "trainer.max_epochs=null",
    "trainer.validate_every=1000",
    "data.workers=0",
]
WHOLE = [f"image_size={2 * TILE}", "data.batch_size=4", "optimizer.learning_rate=0.001"]
FUSION = "weighted_boxes_fusion"
# a run, what it detects in, its tiling and its overrides
CASES: list[tuple[str, str, dict[str, Any] | None, list[str]]] = [
    ("tiles", f"whole pictures resized to {TILE} px", None, []),
    ("tiles", f"whole pictures resized to {2 * TILE} px", None, [f"image_size={2 * TILE}"]),
    ("whole", f"whole pictures resized to {2 * TILE} px", None, []),
    ("tiles", f"whole pictures of {PICTURE} px", None, [f"image_size={PICTURE}"]),
    ("tiles", "tiles", TILING, []),
    ("tiles", "tiles, `drop_cut: false`", {**TILING, "drop_cut": False}, []),
    ("tiles", "tiles, `merge: weighted_boxes_fusion`", {**TILING, "merge": FUSION}, []),
]


def measure(options: dict[str, str]) -> dict[str, Any]:
    """Train the detectors, unless `folder` has them, and measure everything."""
    torch.set_num_threads(1)
    folder = Path(options.get("folder") or tempfile.mkdtemp(prefix="tiling-"))
    data, run = folder / "data", folder / "tiles"
    steps = int(options.get("steps", 1200)), int(options.get("whole_steps", 150))
    for number, split in enumerate(("train", "val")):
        count = int(options.get(split, (40, 20)[number]))
        if not (data / "annotations" / f"instances_{split}.json").is_file():
            render(data, split, number, count)
    whole = [f"weights={run}", f"settings={run}", "data.tiling.size=null", *WHOLE]
    for name, words, count in zip(("tiles", "whole"), (TRAINING, whole), steps, strict=True):
        if not (folder / name / "report.html").is_file():
            common = [f"data.path={data}", f"trainer.max_steps={count}"]
            detkit.train([*words, *common, f"run_folder={folder / name}"])
    return {
        "steps": list(steps),
        "objects": sizes_of(data),
        "accuracy": [accuracy(folder, *case) for case in CASES],
        "sahi": beside_sahi(run, data / "val" / "000000.jpg"),
        "decoding": decoding(folder),
    }


def render(folder: Path, split: str, number: int, count: int) -> None:
    """Write the pictures of a split as a COCO folder."""
    (folder / split).mkdir(parents=True, exist_ok=True)
    (folder / "annotations").mkdir(exist_ok=True)
    images, annotations = [], []
    for image in range(count):
        picture = np.zeros((PICTURE, PICTURE, 3), np.uint8)
        for cell in range(SIDE * SIDE):
            random = np.random.default_rng([7, number, image, cell])
            top, left = (SCENE * position for position in divmod(cell, SIDE))
            if random.random() * WITH_OBJECTS < 1:
                pixels, objects = draw_scene(random, SCENE, CLUTTER)
            else:
                pixels, objects = ground(random, SCENE, CLUTTER).clip(0, 255).astype(np.uint8), []
            picture[top : top + SCENE, left : left + SCENE] = pixels
            for item in objects:
                x1, y1, x2, y2 = item.box
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image + 1,
                        "category_id": CLASS_NAMES.index(item.name) + 1,
                        "bbox": [x1 + left, y1 + top, x2 - x1, y2 - y1],
                        "area": round(item.area, 2),
                        "iscrowd": int(item.ignored),
                    }
                )
        name = f"{image:06d}.jpg"
        Image.fromarray(picture).save(folder / split / name, quality=92)
        images.append({"id": image + 1, "file_name": name, "width": PICTURE, "height": PICTURE})
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASS_NAMES, start=1)]
    page = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(page))


def sizes_of(data: Path) -> dict[str, float]:
    """How many validation objects there are, and the share that COCO calls small."""
    content = json.loads((data / "annotations" / "instances_val.json").read_text())
    areas = [row["area"] for row in content["annotations"] if not row["iscrowd"]]
    return {
        "pictures": len(content["images"]),
        "objects": len(areas),
        "small": sum(area < 32**2 for area in areas) / len(areas),
    }


def accuracy(
    folder: Path, run: str, images: str, tiling: dict[str, Any] | None, words: list[str]
) -> dict[str, Any]:
    """The metrics of a detector on the validation pictures."""
    detector = detkit.load(folder / run, device="cpu", overrides=words, tiling=tiling)
    numbers = detector.evaluate(folder / "data", overrides=["split=val"])
    return {"run": run, "images": images, **{name: numbers[name] for name in METRICS}}


def beside_sahi(run: Path, picture: Path) -> dict[str, Any] | None:
    """Seconds and detections of detkit and SAHI on the same tiles; None without SAHI."""
    try:
        from sahi.predict import get_sliced_prediction
    except ImportError:
        return None
    from detkit.integrations.sahi import SahiModel

    tiling = {**TILING, "drop_cut": False, "batch_size": 8}
    # SAHI drops lower scores before it merges, so detkit's post-processing does so too
    words = [f"model.head.postprocess.score_threshold={THRESHOLD}"]
    whole = detkit.load(run, device="cpu", overrides=words)
    model = SahiModel(model=whole, confidence_threshold=THRESHOLD, device="cpu")
    detector = detkit.load(run, device="cpu", overrides=words, tiling=tiling)

    def ours() -> list[tuple[Any, ...]]:
        (result,) = detector.predict(picture, threshold=THRESHOLD)
        rows = zip(result.boxes.tolist(), result.names, result.scores.tolist(), strict=True)
        return [(*box, name, score) for box, name, score in rows]

    def theirs() -> list[tuple[Any, ...]]:
        predictions = get_sliced_prediction(
            str(picture),
            model,
            slice_height=TILE,
            slice_width=TILE,
            overlap_height_ratio=OVERLAP,
            overlap_width_ratio=OVERLAP,
            perform_standard_pred=False,
            postprocess_type="NMS",
            postprocess_match_metric="IOU",
            batch_size=8,
            verbose=0,
        ).object_prediction_list
        return [(*p.bbox.to_xyxy(), p.category.name, p.score.value) for p in predictions]

    times: dict[str, list[float]] = {"detkit": [], "sahi": []}
    results: dict[str, list[tuple[Any, ...]]] = {}
    tools: dict[str, Callable[[], list[tuple[Any, ...]]]] = {"detkit": ours, "sahi": theirs}
    for number in range(ROUNDS + 1):
        for name, run_tool in tools.items():
            start = time.perf_counter()
            results[name] = run_tool()
            if number:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    return {
        "seconds": {name: statistics.median(values) for name, values in times.items()},
        "detections": {name: len(rows) for name, rows in results.items()},
        "difference": difference(results["detkit"], results["sahi"]),
    }


def difference(ours: list[tuple[Any, ...]], theirs: list[tuple[Any, ...]]) -> dict[str, float]:
    """The largest differences between the detections of two tools, paired by class and box."""
    key = pairing_key
    pairs = list(zip(sorted(ours, key=key), sorted(theirs, key=key), strict=False))
    boxes = [abs(a - b) for one, other in pairs for a, b in zip(one[:4], other[:4], strict=True)]
    scores = [abs(one[5] - other[5]) for one, other in pairs]
    return {
        "unpaired": abs(len(ours) - len(theirs)) + sum(a[4] != b[4] for a, b in pairs),
        "pixels": max(boxes, default=0.0),
        "score": max(scores, default=0.0),
    }


def pairing_key(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (row[4], *(round(value, 1) for value in row[:4]))


def decoding(folder: Path) -> dict[str, Any]:
    """Milliseconds to read a tile of 640 pixels from a JPEG of 12 megapixels, by cache."""
    place = folder / "photo"
    if not (place / "annotations").is_dir():
        (place / "annotations").mkdir(parents=True)
        (place / "train").mkdir()
        small = np.random.default_rng(0).integers(
            0, 256, (PHOTO[0] // 50, PHOTO[1] // 50, 3), np.uint8
        )
        Image.fromarray(small).resize(PHOTO[::-1]).save(place / "train" / "a.jpg", quality=90)
        image = {"id": 1, "file_name": "a.jpg", "width": PHOTO[1], "height": PHOTO[0]}
        box = {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "bbox": [0, 0, 9, 9],
            "area": 81,
            "iscrowd": 0,
        }
        page = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "a"}]}
        (place / "annotations" / "instances_train.json").write_text(json.dumps(page))
    index = CocoReader().read(place, "train")
    tiles = cut_index(index, TrainingTiles(size=640, overlap=0.2), all_tiles=True)
    milliseconds = {}
    for kind in (None, "ram", "disk"):
        dataset = TiledDataset(tiles, transforms={}, seed=0)
        if kind is not None:
            dataset.cache_windows(ImageCaches(CacheSettings(kind, 1.0, folder / "cache"), RGB8))
        dataset[Key(0, 0)]  # fills the cache
        times = []
        for position in np.random.default_rng(0).permutation(len(tiles))[:20].tolist():
            start = time.perf_counter()
            dataset[Key(0, position)]
            times.append(1000 * (time.perf_counter() - start))
        milliseconds[str(kind)] = statistics.median(times)
    return {"tiles": len(tiles), "milliseconds": milliseconds}


def table(rows: dict[str, Any]) -> str:
    """The section of docs/inference.md."""
    objects = rows["objects"]
    text = (
        f"{objects['pictures']} rendered pictures of {PICTURE} x {PICTURE} pixels with "
        f"{objects['objects']:,} objects, {objects['small']:.0%} of them small (below 32² pixels); "
        f"scripts/inference/tiling.py renders them. The detector is that of `experiment=demo`, "
        f"trained from random weights for {rows['steps'][0]:,} steps on tiles of {TILE} pixels "
        f"(`data.tiling={{size: {TILE}, overlap: {OVERLAP}}}`). The second one continues from its "
        f"weights for {rows['steps'][1]} steps of 4 whole pictures that are resized to {2 * TILE} "
        f"pixels.{rows.get('note', '')}\n\n"
        "| trained on | detects in | AP | AP50 | AP_small | AP_medium |\n"
        "|---|---|---|---|---|---|\n"
    )
    for row in rows["accuracy"]:
        numbers = " | ".join(f"{row[metric]:.3f}" for metric in METRICS)
        trained = "tiles" if row["run"] == "tiles" else "tiles, then whole pictures"
        text += f"| {trained} | {row['images']} | {numbers} |\n"
    text += (
        f"\nWhole pictures of {PICTURE} pixels keep the objects' size too, where memory and the "
        "network's receptive field allow it; tiles need the memory of one tile.\n"
    )
    return text + "\n" + sahi_text(rows["sahi"]) + "\n" + decoding_text(rows["decoding"])


def sahi_text(row: dict[str, Any] | None) -> str:
    if row is None:
        return "SAHI was not installed.\n"
    seconds, counts, largest = row["seconds"], row["detections"], row["difference"]
    scores = f"scores to {largest['score']:.1g}" if largest["score"] else "scores are the same"
    return (
        f"Beside SAHI, with the same detector (`detkit.integrations.sahi`), tiles, batches of 8, "
        f"minimum score ({THRESHOLD}) and merge (NMS, IoU 0.5) on one picture and one CPU thread, "
        f"median of {ROUNDS} alternating runs: detkit {seconds['detkit']:.2f} s, SAHI "
        f"{seconds['sahi']:.2f} s. They find {counts['detkit']} and {counts['sahi']} detections, "
        f"{largest['unpaired']:.0f} of them without a partner; boxes are equal to "
        f"{largest['pixels']:.1g} pixels, {scores}.\n"
    )


def decoding_text(row: dict[str, Any]) -> str:
    times = row["milliseconds"]
    return (
        f"Training on tiles of 640 pixels of a JPEG of {PHOTO[1]} x {PHOTO[0]} pixels "
        f"({row['tiles']} tiles): a tile takes {times['None']:.0f} ms without a cache, since it "
        f"decodes the whole image, {times['ram']:.1f} ms with `data.cache=ram` and "
        f"{times['disk']:.1f} ms with `data.cache=disk`.\n"
    )
