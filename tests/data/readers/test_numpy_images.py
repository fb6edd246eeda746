"""NumPy files and TIFF stacks count as images in every format."""

import json

import numpy as np
import pytest
from PIL import Image

from detkit.data.readers.auto import AutoReader

VALUES = np.arange(4 * 5 * 2, dtype=np.uint8).reshape(4, 5, 2)
PAGE = """<annotation><filename>a{}</filename><size><width>5</width><height>4</height><depth>2
</depth></size><object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3
</ymax></bndbox></object></annotation>"""


def save_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, VALUES)
    else:
        first, second = (Image.fromarray(VALUES[..., channel]) for channel in range(2))
        first.save(path, save_all=True, append_images=[second])


def write_coco(root, suffix):
    save_image(root / f"a{suffix}")
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 3, 3], "area": 9, "iscrowd": 0}
    images = [{"id": 1, "file_name": f"a{suffix}", "width": 5, "height": 4}]
    page = {"images": images, "annotations": [box], "categories": [{"id": 1, "name": "cat"}]}
    (root / "annotations.json").write_text(json.dumps(page))


def write_voc(root, suffix):
    save_image(root / "JPEGImages" / f"a{suffix}")
    (root / "Annotations").mkdir()
    (root / "Annotations" / "a.xml").write_text(PAGE.format(suffix))


def write_yolo(root, suffix):
    save_image(root / "images" / f"a{suffix}")
    (root / "labels").mkdir()
    (root / "labels" / "a.txt").write_text("0 0.3 0.4 0.6 0.75\n")
    (root / "data.yaml").write_text("names: [cat]\ntrain: images\n")


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
@pytest.mark.parametrize("write", [write_coco, write_voc, write_yolo])
def test_they_are_images(tmp_path, write, suffix):
    write(tmp_path, suffix)
    index = AutoReader().read(tmp_path, None)
    assert index.path(0).name == f"a{suffix}"
    assert index.sizes.tolist() == [[4, 5]]
    assert len(index.boxes) == 1
