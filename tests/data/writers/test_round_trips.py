"""A data set written in one format, read, written in another and read again."""

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from detkit.data.index import Annotation, IndexBuilder
from detkit.data.readers.voc_reader import VocReader
from detkit.data.writers import coco_writer, voc_writer, yolo_writer
from detkit.data.writers.conversion_input import gather
from detkit.data.writers.convert import READERS, convert

WIDTH, HEIGHT = 37, 23  # 1/width has no short decimal form
WRITERS = {"coco": coco_writer, "voc": voc_writer, "yolo": yolo_writer}


def side(length):
    """Two float32 coordinates in 0..length in order; whole, short or any."""
    exact = st.floats(0, length, width=32, allow_subnormal=False)
    whole = st.integers(0, length).map(float)
    return st.lists(exact | whole, min_size=2, max_size=2, unique=True).map(sorted)


boxes = st.tuples(side(WIDTH), side(HEIGHT)).map(lambda s: (s[0][0], s[1][0], s[0][1], s[1][1]))
objects = st.lists(st.tuples(boxes, st.integers(0, 2), st.booleans()), max_size=4)


def index_of(folder, images, ignoring=True):
    builder = IndexBuilder(folder, ["dog", "cat", "a bird"])
    for number, entries in enumerate(images):
        Image.new("L", (WIDTH, HEIGHT)).save(folder / f"{number}.png")
        builder.add_image(f"{number}.png", number + 1)
        for box, label, ignored in entries:
            builder.add_object(Annotation(label, box, ignored and ignoring))
    return builder.build()


def write(folder, kind, index):
    material = gather({"train": index}, keep_ids=True, unique_stems=True)
    for picture in material.pictures:
        place = folder / WRITERS[kind].image_place(picture)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(picture.path)
    WRITERS[kind].write(folder, material)
    return READERS[kind]().read(folder, "train")


def agree(first, second):
    """Whether objects are bit-identical, and tiny fractions of a pixel equal to 1e-12."""
    assert first.class_names == second.class_names
    assert first.object_offsets.tolist() == second.object_offsets.tolist()
    assert first.labels.tolist() == second.labels.tolist()
    assert first.ignored.tolist() == second.ignored.tolist()
    exact = (first.boxes == 0) | (first.boxes >= 1e-3)
    assert (first.boxes == second.boxes)[exact].all()
    np.testing.assert_allclose(first.boxes, second.boxes, rtol=0, atol=1e-12)


def usable(index):
    """Boxes with widths that survive adding 1, as VOC does."""
    return not index.dropped and ((index.boxes[:, 2:] - index.boxes[:, :2]) > 1e-6).all()


@pytest.mark.parametrize(("first", "second"), list(permutations(WRITERS, 2)))
@settings(max_examples=12, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(images=st.lists(objects, min_size=1, max_size=2))
# pain 25
def test_every_box_survives_all_six_conversions(tmp_path_factory, first, second, images):
    folder = tmp_path_factory.mktemp("trip")
    index = index_of(folder, images, ignoring="yolo" not in (first, second))
    assume(usable(index))
    for number, kind in enumerate((first, second, first)):
        place = folder / str(number)
        place.mkdir()
        agree(index, again := write(place, kind, index))
        assert again.notes == []  # such as boxes cut at the edge, over which rounding put them
        index = again


@pytest.mark.parametrize(("box", "texts"), [
    ((0, 0, 20, 10), ["1", "1", "20", "10"]),
    ((2.5, 1, 9.25, 9), ["3.5", "2.0", "9.25", "9.0"]),
    ((4, 1, 5, 9), ["5.0", "2.0", "5.0", "9.0"]),  # one pixel wide, which whole numbers call none
])  # fmt: skip
# pain 25
def test_voc_corners_are_whole_if_nothing_is_lost(box, texts):
    assert voc_writer.corner_texts([float(value) for value in box]) == texts


@pytest.mark.parametrize(("box", "text"), [
    ((0, 0, 40, 30), "0.500000 0.500000 1.000000 1.000000"),
    ((10, 12, 30, 18), "0.500000 0.500000 0.500000 0.200000"),
    ((1, 1, 2, 2), "0.037500 0.050000000 0.025 0.0333"),
])  # fmt: skip
# pain 25
def test_yolo_fractions_have_enough_digits(box, text):
    written = yolo_writer.shares_text([float(value) for value in box], (30, 40))
    assert [float(a) for a in written.split()] == pytest.approx([float(b) for b in text.split()],
                                                                abs=1e-4)  # fmt: skip
    assert len(written.split()[0]) == (8 if box[0] != 1 else 11)


@pytest.mark.parametrize("to", ["yolo", "coco", "voc"])
def test_our_own_export_has_no_box_over_the_edge(tmp_path, to):
    source, size = tmp_path / "source", (301, 229)
    boxes = [(x, y, *size) for x in range(0, 300, 7) for y in range(0, 228, 19)]
    boxes += [(0, 0, x, y) for x in range(5, 300, 7) for y in range(5, 228, 19)]
    (source / "images").mkdir(parents=True)
    Image.new("L", size).save(source / "images" / "a.png")
    annotations = [
        {"id": number, "image_id": 1, "category_id": 1, "bbox": [x, y, u - x, v - y]}
        for number, (x, y, u, v) in enumerate(boxes)
    ]
    (source / "annotations").mkdir()
    page = {
        "images": [{"id": 1, "file_name": "a.png", "width": size[0], "height": size[1]}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}],
    }
    (source / "annotations" / "instances.json").write_text(json.dumps(page))
    convert(source, tmp_path / "there", to=to)
    assert READERS[to]().read(tmp_path / "there", None).faults == []
    assert convert(tmp_path / "there", tmp_path / "back", to="coco").changed == []


@pytest.mark.slow
@pytest.mark.needs_bccd
@pytest.mark.parametrize("middle", ["coco", "yolo"])
# pain 25
def test_photographs_survive_the_round_trip(bccd, tmp_path, middle):
    report = convert(bccd, tmp_path / "middle", to=middle)
    assert report.left_out[0].startswith("2 boxes (no area): ")
    back = convert(tmp_path / "middle", tmp_path / "back", to="voc")
    assert (report.changed, back.changed) == ([], [])
    reader = VocReader()
    assert reader.splits(tmp_path / "back") == ["test", "train", "trainval", "val"]
    for split in reader.splits(bccd):
        first, second = reader.read(bccd, split), reader.read(tmp_path / "back", split)
        order = np.argsort([first.path(n).name for n in range(len(first))])
        names = [second.path(n).name for n in range(len(second))]
        assert sorted(names) == [first.path(n).name for n in order]
        assert np.array_equal(_sorted(first), _sorted(second))  # bit-identical
    text = (tmp_path / "back" / "Annotations" / "BloodImage_00343.xml").read_text()
    assert "." not in text.split("<object>", 1)[1]  # whole numbers stay whole


def _sorted(index):
    """Rows of (image, label, box), sorted by image and box."""
    rows = []
    for position in range(len(index)):
        span = slice(*index.object_offsets[position : position + 2])
        name = int("".join(filter(str.isdigit, index.path(position).stem)))
        rows += [
            (name, int(label), *box)
            for label, box in zip(index.labels[span], index.boxes[span].tolist(), strict=True)
        ]
    return np.array(sorted(rows))


@pytest.mark.needs_bccd
def test_the_written_coco_file_is_pycocotools_own(bccd, tmp_path, capsys):
    convert(bccd, tmp_path / "coco", to="coco", splits=["val"], copy="none")
    read = COCO(str(Path(tmp_path, "coco/annotations/instances_val.json")))
    index = VocReader().read(bccd, "val")
    assert len(read.getImgIds()) == len(index) == 87
    assert [c["name"] for c in read.loadCats(read.getCatIds())] == index.class_names
    found = read.loadAnns(read.getAnnIds())
    assert len(found) == len(index.boxes)
    sides = np.array([annotation["bbox"] for annotation in found])
    corners = np.hstack([sides[:, :2], sides[:, :2] + sides[:, 2:]])
    assert np.array_equal(corners.astype(np.float32), index.boxes)
