"""The content of each format, by hand."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from detkit import registry
from detkit.errors import UserError
from detkit.structures import ImageRecord, PredictedImage
from detkit.writers.crops import folder_names

RECORD = ImageRecord(
    number=3,
    name="a.b",
    file_name='photos/a, "b".jpg',
    size=(50, 200),
    boxes=[(20.0, 10.0, 60.0, 30.0), (0.0, 0.0, 200.0, 50.0)],
    scores=[0.75, 0.30000001192092896],
    labels=[1, 0],
)
EMPTY = replace(RECORD, number=4, name="empty", boxes=[], scores=[], labels=[])


class Records(list):
    class_names = ("cat", "traffic light")
    category_ids = (7, 9)


def image_files(name, record=RECORD):
    image = PredictedImage(
        record,
        Records.class_names,
        draw=lambda: Image.new("RGB", (4, 4)),
        crops=lambda: [Image.new("RGB", (5 + n, 6)) for n in range(len(record))],
    )
    return dict(registry.get("writer", name)().image_files(image))


def final_files(name, *records):
    files = registry.get("writer", name)().final_files(Records(records))
    return {file: "".join(pieces) for file, pieces in files}


def test_yolo_has_centres_and_sizes_as_shares():
    assert image_files("yolo") == {
        "labels/a.b.txt": b"1 0.200000 0.400000 0.200000 0.400000 0.750000\n"
        b"0 0.500000 0.500000 1.000000 1.000000 0.300000\n"
    }
    assert image_files("yolo", EMPTY) == {"labels/empty.txt": b""}
    assert final_files("yolo") == {"classes.txt": "cat\ntraffic light\n"}


def test_csv_quotes_what_needs_it():
    (text,) = final_files("csv", RECORD, replace(RECORD, tracks=[5, 6])).values()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows[0] == {
        **{"file_name": 'photos/a, "b".jpg', "image_id": "3", "class": "traffic light"},
        **{"score": "0.75", "x1": "20", "y1": "10", "x2": "60", "y2": "30", "track_id": ""},
    }
    assert [row["track_id"] for row in rows] == ["", "", "5", "6"]


def test_coco_rows_have_the_ids_of_the_data_set():
    (text,) = final_files("coco", RECORD, EMPTY).values()
    assert json.loads(text)[0] == {
        **{"image_id": 3, "file_name": 'photos/a, "b".jpg', "category_id": 9},
        **{"bbox": [20.0, 10.0, 40.0, 20.0], "score": 0.75},
    }
    assert text.startswith('[\n{"image_id": 3, ')
    assert final_files("coco", EMPTY) == {"detections.json": "[]\n"}


def test_mot_counts_from_one_and_leaves_out_what_has_no_track():
    tracked = replace(RECORD, tracks=[8, -1])
    assert final_files("mot", tracked) == {"mot.txt": "3,9,21,11,40,20,0.75,2\n"}
    assert image_files("mot", tracked) == {}


def test_mot_without_tracks_is_refused():
    with pytest.raises(UserError, match="format=mot needs tracks"):
        image_files("mot")


def test_label_studio_has_boxes_in_per_cent():
    (text,) = final_files("label_studio", RECORD, EMPTY).values()
    task, empty = json.loads(text)
    path = Path("photos").absolute().as_posix().lstrip("/")
    assert task["data"]["image"] == f"/data/local-files/?d={path}/a%2C%20%22b%22.jpg"
    region = task["predictions"][0]["result"][0]
    assert region["value"] == {
        **{"x": 10.0, "y": 20.0, "width": 20.0, "height": 40.0, "rotation": 0},
        "rectanglelabels": ["traffic light"],
    }
    assert (region["type"], region["score"]) == ("rectanglelabels", 0.75)
    assert empty["predictions"] == [{"model_version": "detkit", "result": []}]


def test_label_studio_leaves_addresses_as_they_are():
    web = replace(RECORD, file_name="https://example.com/a b.jpg")
    assert '"https://example.com/a b.jpg"' in "".join(final_files("label_studio", web).values())


def test_fiftyone_finds_the_file_of_each_name():
    files = final_files("fiftyone", RECORD, EMPTY)
    labels = json.loads(files["fiftyone/labels.json"])["labels"]
    assert labels["a.b"][0] == {
        "label": "traffic light",
        "bounding_box": [0.1, 0.2, 0.2, 0.4],
        "confidence": 0.75,
    }
    assert labels["empty"] == []
    # FiftyOne removes the suffix of these keys
    paths = {Path(key).stem: path for key, path in json.loads(files["fiftyone/data.json"]).items()}
    assert paths["a.b"] == str(Path(RECORD.file_name).absolute())


def test_crops_are_in_the_folder_of_their_class():
    files = image_files("crops")
    assert list(files) == ["crops/traffic light/a.b-1.png", "crops/cat/a.b-2.png"]
    assert Image.open(io.BytesIO(files["crops/cat/a.b-2.png"])).size == (6, 6)
    assert image_files("crops", EMPTY) == {}


def test_any_class_name_gives_a_folder_of_its_own():
    names = ["a/b", "A:b", "..", "", "../../etc"]
    assert folder_names(names) == ["a_b", "A_b-2", "_", "_-2", "_.._etc"]
