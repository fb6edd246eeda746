"""FiftyOne's own importer reads the files of the writer `fiftyone`."""

import pytest
from PIL import Image
from real_fiftyone import fiftyone  # noqa: F401  # a fixture

from detkit import registry
from detkit.structures import ImageRecord


class Records(list):
    class_names = ("cat", "traffic light")
    category_ids = (7, 9)


@pytest.mark.slow
def test_detections_belong_to_their_images(fiftyone, tmp_path):  # noqa: F811
    images = {name: str(tmp_path / name) for name in ("a.b.png", "other.JPG", "none.png")}
    records = Records()
    for number, (name, path) in enumerate(images.items()):
        Image.new("RGB", (200, 50)).save(path)
        boxes, count = [(20.0, 10.0, 60.0, 30.0)], number < 2
        stem, values = name.rpartition(".")[0], (boxes * count, [0.75] * count, [number] * count)
        records.append(ImageRecord(number + 1, stem, path, (50, 200), *values))
    writer = registry.get("writer", "fiftyone")()
    (tmp_path / "fiftyone").mkdir()
    for file, pieces in writer.final_files(records):
        (tmp_path / file).write_text("".join(pieces))
    dataset = fiftyone.Dataset.from_dir(
        dataset_dir=str(tmp_path / "fiftyone"),
        dataset_type=fiftyone.types.FiftyOneImageDetectionDataset,
        data_path="data.json",
        label_field="predictions",
    )
    detections = {sample.filepath: sample.predictions.detections for sample in dataset}
    labels = [[d.label for d in detections[path]] for path in images.values()]
    assert labels == [["cat"], ["traffic light"], []]
    (detection,) = detections[images["a.b.png"]]
    assert (detection.bounding_box, detection.confidence) == ([0.1, 0.2, 0.2, 0.4], 0.75)
