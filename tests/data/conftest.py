"""Small data sets on disk, and samples in memory."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from detkit.structures import Sample, Target

VOC_PAGE = """<annotation><filename>{stem}.jpg</filename>
<size><width>{width}</width><height>{height}</height><depth>3</depth></size>{objects}</annotation>
"""
VOC_OBJECT = """<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>{}</xmin>
<ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"""


def write_picture(path: Path, width: int = 40, height: int = 30, seed: int = 0) -> Path:
    """Noise as an image file; the format follows from the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def write_voc_page(root: Path, stem: str, objects: list[tuple], width: int = 40) -> None:
    """An XML file; objects are (name, difficult, xmin, ymin, xmax, ymax)."""
    text = "".join(VOC_OBJECT.format(*item) for item in objects)
    page = VOC_PAGE.format(stem=stem, width=width, height=30, objects=text)
    (root / "Annotations").mkdir(parents=True, exist_ok=True)
    (root / "Annotations" / f"{stem}.xml").write_text(page)


def write_coco(file: Path, names: list[str], objects: list[dict], **page: object) -> None:
    """A COCO file of 40x30 images numbered from 1, with the categories cat (7) and dog (3)."""
    images = [
        {"id": number, "file_name": name, "width": 40, "height": 30}
        for number, name in enumerate(names, start=1)
    ]
    categories = [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}]
    whole = {"images": images, "annotations": objects, "categories": categories, **page}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(whole))


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Three images: a cat and a difficult dog, no object, a dog; train has two, val one."""
    for number, stem in enumerate("abc"):
        write_picture(tmp_path / "JPEGImages" / f"{stem}.jpg", seed=number)
    write_voc_page(tmp_path, "a", [("cat", 0, 1, 1, 20, 10), ("dog", 1, 5, 6, 40, 30)])
    write_voc_page(tmp_path, "b", [])
    write_voc_page(tmp_path, "c", [("dog", 0, 3, 4, 9, 8)])
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\n")
    (lists / "val.txt").write_text("c\n")
    (lists / "cat_train.txt").write_text("a  1\nb -1\n")
    return tmp_path


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Two training images and one validation image in COCO form."""
    for number, name in enumerate(("train2017/a.jpg", "train2017/b.jpg", "val2017/c.jpg")):
        write_picture(tmp_path / name, seed=number)
    objects = [
        {"image_id": 1, "category_id": 7, "bbox": [2, 3, 10, 5], "area": 41.5, "iscrowd": 0},
        {"image_id": 1, "category_id": 3, "bbox": [0, 0, 40, 30], "area": 900, "iscrowd": 1},
    ]
    write_coco(tmp_path / "annotations/instances_train2017.json", ["a.jpg", "b.jpg"], objects)
    objects = [{"image_id": 1, "category_id": 3, "bbox": [1, 1, 4, 4]}]
    write_coco(tmp_path / "annotations/instances_val2017.json", ["c.jpg"], objects)
    return tmp_path


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    """Two training images, one of them without a label file, and one validation image."""
    for number, name in enumerate(("train/a", "train/b", "val/c")):
        write_picture(tmp_path / "images" / f"{name}.jpg", seed=number)
    for split, stem, text in (("train", "a", "1 0.5 0.5 0.5 0.2\n"), ("val", "c", "0 .5 .5 1 1")):
        (tmp_path / "labels" / split).mkdir(parents=True)
        (tmp_path / "labels" / split / f"{stem}.txt").write_text(text)
    (tmp_path / "data.yaml").write_text("names: {0: dog, 1: cat}\n")
    return tmp_path


def make_sample(boxes: list[list[float]], height: int = 20, width: int = 40) -> Sample:
    """A sample of noise with boxes labelled 0, 1, ...; to_image starts as the identity."""
    generator = torch.Generator().manual_seed(3)
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator)
    target = Target(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.arange(len(boxes)),
        torch.zeros(len(boxes), dtype=torch.bool),
        torch.full((len(boxes),), 5.0),
    )
    return Sample(image, target, target, 1, "noise", (height, width))


@pytest.fixture
def pictures():
    """The functions that write data sets, for tests that need their own."""
    return write_picture


@pytest.fixture
def voc_pages():
    return write_voc_page


@pytest.fixture
def coco_files():
    return write_coco


@pytest.fixture
def samples():
    return make_sample


@pytest.fixture
def labelme(tmp_path: Path) -> Path:
    """A cat as a rectangle and a dog as a polygon in train, an image without object in val."""
    pytest.importorskip("globox")
    shapes = [
        {"label": "cat", "shape_type": "rectangle", "points": [[12.5, 8], [2, 3]]},
        {"label": "dog", "shape_type": "polygon", "points": [[5, 6], [30, 9], [20, 29]]},
    ]
    for split, stem, objects in (("train", "a", shapes), ("val", "b", [])):
        write_picture(tmp_path / split / f"{stem}.jpg")
        page = {"version": "5.4.1", "flags": {}, "shapes": objects, "imagePath": f"{stem}.jpg"}
        page |= {"imageData": None, "imageHeight": 30, "imageWidth": 40}
        (tmp_path / split / f"{stem}.json").write_text(json.dumps(page))
    return tmp_path


@pytest.fixture
def fiftyone_folder(tmp_path: Path) -> Path:
    """A cat and a crowd of dogs in train, an image without object in validation."""
    cat = {"_cls": "Detection", "label": "cat", "bounding_box": [0.25, 0.2, 0.3, 0.4]}
    dogs = {"_cls": "Detection", "label": "dog", "bounding_box": [0, 0, 0.5, 0.5], "iscrowd": 1}
    samples = []
    for stem, split, objects in (("a", "train", [cat, dogs]), ("b", "validation", [])):
        write_picture(tmp_path / "data" / f"{stem}.jpg")
        sample = {"filepath": f"data/{stem}.jpg", "tags": [split], "_media_type": "image"}
        sample["ground_truth"] = {"_cls": "Detections", "detections": objects}
        samples.append(sample)
    (tmp_path / "samples.json").write_text(json.dumps({"samples": samples}))
    (tmp_path / "metadata.json").write_text('{"name": "pets", "media_type": "image"}')
    return tmp_path


CVAT_PAGE = """<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>
<image id="0" name="a.jpg" subset="train" width="40" height="30">
<box label="cat" occluded="1" xtl="2" ytl="3" xbr="12.5" ybr="8">
<attribute name="n">1</attribute></box>
<polygon label="dog" points="5,6;30,9;20,29"/></image>
<image id="1" name="b.jpg" subset="val" width="40" height="30"/></annotations>"""


@pytest.fixture
def cvat(tmp_path: Path) -> Path:
    """A cat as a box and a dog as a polygon in train, an image without object in val."""
    pytest.importorskip("globox")
    for stem in "ab":
        write_picture(tmp_path / "images" / f"{stem}.jpg")
    (tmp_path / "annotations.xml").write_text(CVAT_PAGE)
    return tmp_path


OPENIMAGES_HEAD = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf"
)


@pytest.fixture
def openimages(tmp_path: Path) -> Path:
    """A cat and a group of dogs in train, a dog in validation, a row of an image elsewhere."""
    pytest.importorskip("globox")
    rows = {
        "train": ["0a,x,/m/01,1,0.05,0.3,0.1,0.5,0,1,0", "0a,x,/m/02,1,0.5,1,0.5,1,0,0,1"],
        "validation": ["0b,x,/m/02,1,0,0.25,0,1,0,0,0", "0c,x,/m/02,1,0,0.25,0,1,0,0,0"],
    }
    for (split, lines), stem in zip(rows.items(), ("0a", "0b"), strict=True):
        write_picture(tmp_path / split / f"{stem}.jpg")
        text = "\n".join([OPENIMAGES_HEAD, *lines, ""])
        (tmp_path / f"{split}-annotations-bbox.csv").write_text(text)
    (tmp_path / "class-descriptions-boxable.csv").write_text("/m/01,Cat\n/m/02,Dog\n")
    return tmp_path
