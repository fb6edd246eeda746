"""Compare opening and keeping COCO-sized annotations with pycocotools.

The file is like instances_train2017.json: 118,000 images, 860,000 boxes of 80 classes, outlines as
polygons, one crowd in a hundred as runs; written with seeded random numbers into a temporary
folder. detkit also looks into each image file, so there are 118,000 files, links to a few tiny
JPEGs; pycocotools looks at none. Each measurement has a process of its own: it opens the file,
then a loader's worker reads the objects of every image once, without images on either side. A third
process opens the file with the index that an earlier one has kept. A round takes nearly a minute,
so there are three, and none to warm up, which new processes do not know. Memory is what opening the
file adds to what the process held before, which is mostly PyTorch.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from measure import (
    Comparison,
    forget_peak,
    in_turns,
    own_process,
    peak_mib,
    report,
    resident_mib,
    seconds,
)
from PIL import Image
from pycocotools.coco import COCO
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import CocoDetection

from detkit.data.detection_dataset import DetectionDataset
from detkit.data.index_cache import IndexCache
from detkit.data.readers.coco_reader import CocoReader
from detkit.data.workers import begin_worker
from detkit.structures import DatasetIndex

IMAGES, BOXES, CLASSES, SAMPLE = 118_000, 860_000, 80, 2_000
POLYGONS = 20_000  # distinct outlines; the boxes take them in turns
SIZES = [(640, 480), (480, 640), (640, 427), (640, 426), (427, 640), (500, 375), (375, 500)]
FILES = 10  # of each size: a file system bounds the links to one
ROUNDS = 3
CROWDS = 0.01  # share of the boxes
GROWTH_MIB = 30.0  # what a worker may grow by
ANNOTATIONS = Path("annotations/instances_train2017.json")
KEPT = ".kept"  # the folder of the kept index; hidden, so that it is no part of the data set


def outlines(random: np.random.Generator) -> list[str]:
    """Polygons as JSON; 25 points on average make the file as large as COCO's."""
    points = np.clip(random.gamma(1.6, 15.4, POLYGONS), 4, 400).astype(int)
    return [json.dumps([(random.random(2 * n) * 480).round(2).tolist()]) for n in points]


def annotations(random: np.random.Generator) -> Iterator[str]:
    """The entries of the boxes, image by image in a random order as in COCO."""
    shapes = outlines(random)
    owners = random.integers(0, IMAGES, BOXES)
    labels = random.integers(1, CLASSES + 1, BOXES)
    sizes = np.array(SIZES)[owners % len(SIZES)]
    sides = (sizes * random.beta(0.8, 2.5, (BOXES, 2))).clip(1).round(2)
    corners = (random.random((BOXES, 2)) * (sizes - sides)).round(2)
    crowds = random.random(BOXES) < CROWDS
    runs = json.dumps({"counts": random.integers(1, 2000, 60).tolist(), "size": [480, 640]})
    columns = (owners, labels, corners, sides, crowds)
    for number, row in enumerate(zip(*(c.tolist() for c in columns), strict=True), start=1):
        owner, label, (x, y), (width, height), crowd = row
        outline = runs if crowd else shapes[number % POLYGONS]
        yield (
            f'{{"segmentation": {outline},"area": {width * height * 0.6:.4f},"iscrowd": '
            f'{int(crowd)},"image_id": {owner + 1},"bbox": [{x:.2f},{y:.2f},{width:.2f},'
            f'{height:.2f}],"category_id": {label},"id": {number}}}'
        )


def make(folder: Path) -> Path:
    """Write the data set; returns its annotation file."""
    (folder / "train2017").mkdir()
    file = folder / ANNOTATIONS
    file.parent.mkdir()
    images = []
    for number in range(1, IMAGES + 1):
        kind = (number - 1) % (len(SIZES) * FILES)
        width, height = SIZES[kind % len(SIZES)]
        name = f"{number:012d}.jpg"
        if number <= len(SIZES) * FILES:
            Image.new("RGB", (width, height)).save(folder / "train2017" / name, quality=30)
        else:
            os.link(folder / f"train2017/{kind + 1:012d}.jpg", folder / "train2017" / name)
        where = f"http://images.cocodataset.org/train2017/{name}"
        more = {"license": 3, "coco_url": where, "date_captured": "2013-11-14 11:18:45"}
        more["flickr_url"] = f"http://farm9.staticflickr.com/8186/{number:010d}_4f6a2b8c1d_z.jpg"
        images.append({"file_name": name, "height": height, "width": width, "id": number} | more)
    categories = [{"id": n, "name": f"class {n}"} for n in range(1, CLASSES + 1)]
    with file.open("w", encoding="ascii") as target:
        target.write(f'{{"info": {{}},"images": {json.dumps(images)},"annotations": [')
        for number, entry in enumerate(annotations(np.random.default_rng(0))):
            target.write("," * (number > 0) + entry)
        target.write(f'],"categories": {json.dumps(categories)}}}')
    return file


def private_mib(process: int) -> float:
    """Memory that a process shares with no other, in MiB."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def growth_mib(dataset: Dataset[int], begin: Callable[[int], None] | None = None) -> float:
    """Growth of a loader worker's memory, in MiB, while it reads every item once."""
    loader = DataLoader(
        dataset, batch_size=100, num_workers=1, collate_fn=sum, worker_init_fn=begin
    )
    before = {child.pid for child in multiprocessing.active_children()}
    batches, read = iter(loader), next
    count = read(batches)
    (worker,) = {child.pid for child in multiprocessing.active_children()} - before
    # the worker makes a few batches ahead, and waits: the last is made when few are left to read
    start, last = private_mib(worker), 0.0
    for number, found in enumerate(batches, start=2):
        count += found
        if number == len(loader) - 1:
            last = private_mib(worker)
    if count != BOXES:
        raise RuntimeError(f"the worker read {count} boxes, not {BOXES}")
    return last - start


def sample() -> list[int]:
    """Ids of the images on which both sides must agree."""
    return np.random.default_rng(1).choice(IMAGES, SAMPLE, replace=False).tolist()


def opened(action: Callable[[], object]) -> dict[str, float]:
    """Seconds of an action, and the memory that it adds afterwards and at its peak."""
    before = resident_mib()
    forget_peak()
    time = seconds(action)
    return {"seconds": time, "added": resident_mib() - before, "peak": peak_mib() - before}


def ours(folder: Path, agree: Path | None) -> dict[str, float]:
    """Open by detkit's reader."""
    return by_detkit(lambda: CocoReader().read(folder, "train"), agree)


def again(folder: Path, agree: Path | None) -> dict[str, float]:
    """Open with the index that an earlier process has kept, or keep it."""
    cache = IndexCache(folder / KEPT)
    return by_detkit(lambda: cache.read(CocoReader(), folder, "train"), agree)


def by_detkit(read: Callable[[], DatasetIndex], agree: Path | None) -> dict[str, float]:
    """Measure how an index is read, and an epoch without images."""
    results: dict[str, DatasetIndex] = {}
    measured = opened(lambda: results.update(index=read()))
    dataset = DetectionDataset(results["index"], transforms={}, seed=0)

    class Objects(Dataset[int]):
        def __len__(self) -> int:
            return len(dataset)

        def __getitem__(self, position: int) -> int:
            return len(dataset.target(position))

    if agree is None:
        return {**measured, "growth": growth_mib(Objects(), begin_worker)}
    rows = []
    for position in sample():
        target, image_id = dataset.target(position), int(dataset.index.image_ids[position])
        for box, label in zip(target.boxes.tolist(), target.labels.tolist(), strict=True):
            rows.append([image_id, dataset.index.category_ids[label], *box])
    np.save(agree, np.array(rows))
    return {}


def theirs(folder: Path, agree: Path | None) -> dict[str, float]:
    """Open by pycocotools; the worker reads through torchvision's CocoDetection."""
    results = {}
    measured = opened(lambda: results.update(coco=COCO(str(folder / ANNOTATIONS))))
    coco = results["coco"]

    class Objects(CocoDetection):
        def __init__(self) -> None:
            self.coco, self.ids, self.transforms = coco, sorted(coco.imgs), None

        def _load_image(self, id: int) -> None:
            return None

        def __getitem__(self, position: int) -> int:
            return len([(o["bbox"], o["category_id"]) for o in super().__getitem__(position)[1]])

    if agree is not None:
        rows = []
        for position in sample():
            image_id = position + 1
            for entry in coco.imgToAnns[image_id]:
                x, y, width, height = entry["bbox"]
                rows.append([image_id, entry["category_id"], x, y, x + width, y + height])
        np.save(agree, np.array(rows).astype(np.float32))
        return {}
    return {**measured, "growth": growth_mib(Objects())}


def require_agreement(folder: Path) -> None:
    """Raise unless all sides have the same boxes and categories in the sampled images."""
    rows = {}
    for side in ("theirs", "ours", "again", "again"):  # the last one uses what its precursor keeps
        own_process(__file__, "--side", side, str(folder), str(folder / f"{side}.npy"))
        rows[side] = np.load(folder / f"{side}.npy")
        if not np.array_equal(rows[side], rows["theirs"]):
            raise RuntimeError("the sides give different boxes or categories")
    if not any((folder / KEPT).iterdir()):
        raise RuntimeError("no index was kept")
    print(f"the same {len(rows['ours']):,} boxes in {SAMPLE:,} images, bit-identical", flush=True)


Results = dict[str, list[dict[str, float]]]


def rows_of(results: Results) -> list[Comparison]:
    """A row for each quantity."""
    work = f"COCO file of {IMAGES // 1000}k images, {BOXES // 1000}k boxes"
    peer, loader = "pycocotools", "CocoDetection"

    def columns(key: str, side: str = "ours") -> tuple[list[float], list[float]]:
        ours, theirs = ([one[key] for one in results[name]] for name in (side, "theirs"))
        return ours, theirs

    checked = (
        f"detkit also reads the header of each image file; pycocotools does not; {ROUNDS} rounds"
    )
    kept = (
        "detkit compares the content of the annotations and the times of each image with those of "
        "the kept index; pycocotools keeps nothing"
    )
    allowed = GROWTH_MIB / float(np.median(columns("growth")[1]))
    workers = f"private memory of one worker; at most {GROWTH_MIB:g} MiB is aimed at"
    more = "beyond what the process held before, mostly PyTorch"
    return [
        Comparison(f"{work}: open", peer, 0.5, "s", *columns("seconds"), checked),
        Comparison(f"{work}: open again", peer, 0.07, "s", *columns("seconds", "again"), kept),
        Comparison(f"{work}: memory that it adds", peer, 0.2, "MiB", *columns("added"), more),
        Comparison(f"{work}: peak memory that it adds", peer, 0.2, "MiB", *columns("peak"), more),
        Comparison(f"{work}: epoch, growth", loader, allowed, "MiB", *columns("growth"), workers),
    ]


def main() -> None:
    """Compare both sides."""
    if "--side" in sys.argv:
        side, folder, *agree = sys.argv[sys.argv.index("--side") + 1 :]
        run = {"ours": ours, "again": again, "theirs": theirs}[side]
        print("\n" + json.dumps(run(Path(folder), Path(agree[0]) if agree else None)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = make(folder)
        size = file.stat().st_size / 2**20
        print(f"{ANNOTATIONS.name} of {size:.0f} MiB (COCO's has 448 MiB)", flush=True)
        require_agreement(folder)
        results: Results = {"ours": [], "again": [], "theirs": []}

        def once(*sides: str) -> float:
            for side in sides:
                results[side].append(own_process(__file__, "--side", side, name))
            return 0.0

        in_turns(partial(once, "ours", "again"), partial(once, "theirs"), rounds=ROUNDS, warm_up=0)
    report(rows_of(results), annotation_file_mib=round(size))


if __name__ == "__main__":
    main()
