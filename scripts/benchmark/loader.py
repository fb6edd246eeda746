"""Compare one loader worker's images per second with torchvision's and Ultralytics'.

Photographs of 640 x 480, as COCO's are: smooth noise in several sizes, JPEG of quality 90 with
about 70 kB; or the photographs in the folder of `--data`, such as BCCD's. The worker decodes and
augments, the main process only counts. Before it is measured, both sides show that they decode the
same picture and have the same boxes.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import Comparison, in_turns, report
from PIL import Image
from sides import has_ultralytics
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from detkit.data.detection_data import DetectionData
from detkit.data.readers.coco_reader import CocoReader
from detkit.data.transforms.colour import HSV, ColorJitter
from detkit.data.transforms.flips import HorizontalFlip
from detkit.data.transforms.mosaic import Mosaic
from detkit.data.transforms.perspective import RandomPerspective
from detkit.data.transforms.resizing import Resize

PHOTOGRAPHS, IMAGES, OBJECTS, CLASSES = 200, 272, 7, 80
BATCH, SKIPPED, TIMED = 16, 3, 12  # the last two in batches
WIDTH, HEIGHT, SIDE = 640, 480, 640
JITTER = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.1}
PIXEL_BOUND = 4  # levels; libraries of JPEG differ in rounding


def photograph(random: np.random.Generator) -> Image.Image:
    """Noise of several sizes, mostly grey."""
    picture = np.full((HEIGHT, WIDTH, 3), 120, np.float32)
    for cells, height in ((6, 90), (24, 45), (96, 25), (240, 18)):
        coarse = random.random((cells * 3 // 4, cells, 3), dtype=np.float32) * 2 - 1
        coarse = 0.3 * coarse + 0.9 * coarse.mean(axis=-1, keepdims=True)
        for colour in range(3):
            layer = Image.fromarray(coarse[..., colour]).resize((WIDTH, HEIGHT), Image.BICUBIC)
            picture[..., colour] += height * np.asarray(layer)
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def make(folder: Path, photographs: list[Path]) -> float:
    """Write a data set in both sides' formats; return the mean size of a file in kB."""
    random = np.random.default_rng(0)
    for name in ("images/train", "labels/train"):
        (folder / name).mkdir(parents=True)
    images, annotations = [], []
    for number in range(IMAGES):
        file = folder / f"images/train/{number:06d}.jpg"
        if number >= PHOTOGRAPHS:
            os.link(folder / f"images/train/{number - PHOTOGRAPHS:06d}.jpg", file)
        elif photographs:
            file.write_bytes(photographs[number % len(photographs)].read_bytes())
        else:
            photograph(random).save(file, quality=90)
        width, height = Image.open(file).size
        sides = random.uniform(0.05, 0.4, (OBJECTS, 2))
        corners = random.random((OBJECTS, 2)) * (1 - sides)
        labels = random.integers(0, CLASSES, OBJECTS)
        images.append({"id": number, "file_name": file.name, "width": width, "height": height})
        rows = zip(labels.tolist(), corners, sides, strict=True)
        lines = []
        for label, corner, side in rows:
            box = np.concatenate([corner, side]) * [width, height, width, height]
            annotations.append({"image_id": number, "category_id": label, "bbox": box.tolist()})
            annotations[-1] |= {"id": len(annotations), "area": box[2] * box[3], "iscrowd": 0}
            lines.append(
                " ".join(map(repr, [label, *(corner + side / 2).tolist(), *side.tolist()]))
            )
        (folder / f"labels/train/{number:06d}.txt").write_text("\n".join(lines))
    categories = [{"id": number, "name": str(number)} for number in range(CLASSES)]
    page = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "train.json").write_text(json.dumps(page))
    files = [f.stat().st_size for f in (folder / "images/train").iterdir()]
    return float(np.mean(files)) / 1000


def our_data(folder: Path, transforms: dict[str, Any]) -> DetectionData:
    """Our data with one worker."""
    return DetectionData(
        path=str(folder),
        reader=CocoReader(),
        train_transforms=transforms,
        evaluation_transforms={},
        seed=0,
        sampling=None,
        validation_split="train",
        batch_size=BATCH,
        workers=1,
    )


class Photographs(Dataset[tuple[torch.Tensor, dict[str, Any]]]):
    """The same data set by PIL and torchvision's transforms."""

    def __init__(self, folder: Path, transforms: v2.Transform) -> None:
        page = json.loads((folder / "train.json").read_text())
        self.files = [folder / "images/train" / image["file_name"] for image in page["images"]]
        self.transforms = transforms
        self.boxes: list[list[list[float]]] = [[] for _ in self.files]
        self.labels: list[list[int]] = [[] for _ in self.files]
        for entry in page["annotations"]:
            self.boxes[entry["image_id"]].append(entry["bbox"])
            self.labels[entry["image_id"]].append(entry["category_id"])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, position: int) -> tuple[torch.Tensor, dict[str, Any]]:
        picture = Image.open(self.files[position]).convert("RGB")
        size = (picture.height, picture.width)
        boxes = torch.tensor(self.boxes[position]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        target = {"boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=size)}
        image, target = self.transforms(picture, target)
        return image, target | {"labels": torch.tensor(self.labels[position])}


def padded(samples: list[tuple[torch.Tensor, dict[str, Any]]]) -> tuple[torch.Tensor, list[Any]]:
    """One batch, padded with grey to multiples of 32 like ours."""
    height, width = (
        math.ceil(max(image.shape[axis] for image, _ in samples) / 32) * 32 for axis in (1, 2)
    )
    images = torch.full((len(samples), 3, height, width), 114, dtype=torch.uint8)
    for canvas, (image, _) in zip(images, samples, strict=True):
        canvas[:, : image.shape[1], : image.shape[2]] = image
    return images, [target for _, target in samples]


def torchvision_steps(*random: v2.Transform) -> v2.Transform:
    """Resize to fit 640 pixels, apply the random steps, convert to a tensor."""
    return v2.Compose([v2.Resize(None, max_size=SIDE), *random, v2.PILToTensor()])


def ultralytics_set(folder: Path) -> Any:
    """Ultralytics' data set with its default augmentation, including mosaic."""
    from ultralytics.cfg import get_cfg
    from ultralytics.data.build import build_yolo_dataset

    settings = get_cfg(overrides={"imgsz": SIDE, "task": "detect"})
    names = {number: str(number) for number in range(CLASSES)}
    data = {"names": names, "nc": CLASSES, "channels": 3}
    return build_yolo_dataset(settings, str(folder / "images/train"), BATCH, data, mode="train")


def require_same(folder: Path, resize: Resize, yolo: Any | None) -> None:
    """Raise unless all sides decode the same picture and have the same boxes."""
    ours = our_data(folder, {}).train_dataset()
    theirs = Photographs(folder, torchvision_steps())
    for position in range(0, IMAGES, 30):
        sample = resize(ours.read(position), torch.Generator())
        image, target = theirs[position]
        sides = [(image, target["boxes"])]
        if yolo is not None:
            sides.append(_as_tensors(yolo.get_image_and_label(position), sample.size))
        for pixels, boxes in sides:
            if (pixels.int() - sample.image.int()).abs().max() > PIXEL_BOUND:
                raise RuntimeError(f"the sides decode image {position} differently")
            torch.testing.assert_close(boxes, sample.target.boxes, atol=0.01, rtol=0)
    print(f"the same boxes, and pixels within {PIXEL_BOUND} levels", flush=True)


def _as_tensors(label: dict[str, Any], size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Convert an image of Ultralytics and its boxes to our format."""
    drawn = torch.from_numpy(label["img"][..., ::-1].copy()).permute(2, 0, 1)
    label["instances"].convert_bbox("xyxy")
    label["instances"].denormalize(*size[::-1])
    return drawn, torch.from_numpy(label["instances"].bboxes)


def milliseconds(loader: Iterable[Any], images_of: Callable[[Any], torch.Tensor]) -> float:
    """Milliseconds per image in the middle of an epoch."""
    count, moments = 0, []
    for number, batch in enumerate(loader, start=1):
        moments.append(time.perf_counter())
        if SKIPPED < number <= SKIPPED + TIMED:
            count += len(images_of(batch))
    return (moments[SKIPPED + TIMED - 1] - moments[SKIPPED - 1]) / count * 1e3


def colours(folder: Path, resize: Resize) -> Comparison:
    """Decode, resize, flip, change colours."""
    steps = {"resize": resize, "mirror": HorizontalFlip()}
    steps |= {"colours": ColorJitter(**JITTER, probability=1.0)}
    mine = our_data(folder, steps).train_loader()
    random = (v2.RandomHorizontalFlip(), v2.ColorJitter(**JITTER))
    theirs = DataLoader(
        Photographs(folder, torchvision_steps(*random)),
        batch_size=BATCH,
        shuffle=True,
        num_workers=1,
        collate_fn=padded,
        persistent_workers=True,
    )
    values = in_turns(
        partial(milliseconds, mine, lambda batch: batch.images),
        partial(milliseconds, theirs, lambda batch: batch[0]),
    )
    work = "one worker: decode, resize, mirror, change colours"
    return Comparison(work, "torchvision v2 on PIL", 1 / 3, "ms an image", *values)


def mosaic(folder: Path, resize: Resize, yolo: Any) -> Comparison:
    """Mosaic, zoom and shift, HSV, flip."""
    steps = {"resize": resize, "mosaic": Mosaic(height=2 * SIDE, width=2 * SIDE)}
    steps |= {"perspective": RandomPerspective(height=SIDE, width=SIDE)}
    steps |= {"colours": HSV(), "mirror": HorizontalFlip()}
    mine = our_data(folder, steps).train_loader()
    from ultralytics.data.build import build_dataloader

    theirs = build_dataloader(yolo, BATCH, 1, shuffle=True)
    values = in_turns(
        partial(milliseconds, mine, lambda batch: batch.images),
        partial(milliseconds, theirs, lambda batch: batch["img"]),
    )
    remark = (
        "Ultralytics takes the other three images from the last 128 that it decoded; detkit from "
        "the 32 among which the image comes in the epoch's order, so that a sample depends on seed "
        "and epoch alone"
    )
    return Comparison("one worker: mosaic", "Ultralytics", 1 / 1.2, "ms an image", *values, remark)


def main() -> None:
    """Compare with both."""
    given = sys.argv[sys.argv.index("--data") + 1] if "--data" in sys.argv else None
    photographs = sorted(Path(given).rglob("*.jpg")) if given else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        size = make(folder, photographs)
        print(f"{given or 'made'}: {IMAGES} images of {size:.0f} kB in the mean", flush=True)
        resize = Resize(short_side=SIDE, long_side=SIDE)
        yolo = ultralytics_set(folder) if has_ultralytics() else None
        require_same(folder, resize, yolo)
        rows = [colours(folder, resize)]
        if yolo is not None:
            rows.append(mosaic(folder, resize, yolo))
        report(rows, image_kb=size)


if __name__ == "__main__":
    main()
