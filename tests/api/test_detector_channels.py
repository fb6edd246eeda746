"""A detector of four channels of 16 bits: trained, loaded, measured and exported."""

import json

import numpy as np
import pytest
from tiny_run import GUESSES, TINY

import detkit
from detkit.cli.main import main
from detkit.errors import DataError, UserError

pytestmark = pytest.mark.slow  # a training and an export


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """A COCO data set of NumPy files with one bright square each."""
    root = tmp_path_factory.mktemp("arrays")
    random = np.random.default_rng(0)
    images, objects = [], []
    for number in range(1, 7):
        values = random.integers(0, 3000, (64, 80, 4), dtype=np.uint16)
        values[8:32, 16:40] = 60000
        np.save(root / f"{number}.npy", values)
        images.append({"id": number, "file_name": f"{number}.npy", "width": 80, "height": 64})
        box = {"bbox": [16, 8, 24, 24], "area": 576, "iscrowd": 0}
        objects.append({"id": number, "image_id": number, "category_id": 1, **box})
    page = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "square"}]}
    (root / "annotations.json").write_text(json.dumps(page))
    return root


@pytest.fixture(scope="module")
def run(arrays, tmp_path_factory):
    words = [word for word in TINY if not word.startswith("data.reader")]
    data = [f"data.path={arrays}", "data.channels=4", "data.value_range=[0,65535]"]
    folder = tmp_path_factory.mktemp("run") / "run"
    return detkit.train([*words, *data, "data=folder", f"run_folder={folder}"])


@pytest.fixture(scope="module")
def detector(run):
    return detkit.load(run.folder, device="cpu", overrides=GUESSES)


def test_an_array_gives_the_detections_of_its_file(detector, arrays):
    file = arrays / "1.npy"
    of_file, of_array = detector.predict([str(file), np.load(file)], threshold=0)
    assert len(of_file)
    assert np.array_equal(of_file.boxes, of_array.boxes)
    assert of_file.draw().mode == "RGB"


def test_other_channels_get_one_sentence(detector, tmp_path):
    with pytest.raises(UserError, match=r"has 3 channels, and data.channels is 4"):
        detector.predict(np.zeros((5, 6, 3), np.uint16))
    np.save(tmp_path / "a.npy", np.zeros((5, 6, 3), np.uint16))
    with pytest.raises(DataError, match=r"a\.npy': has 3 channels, and data.channels is 4"):
        detector.predict(str(tmp_path / "a.npy"))


def test_a_data_set_is_measured(detector, arrays):
    assert 0 <= detector.evaluate()["AP"] <= 1
    assert 0 <= detector.evaluate(str(arrays), overrides=["split=train"])["AP"] <= 1


def test_another_value_range_is_refused(detector):
    with pytest.raises(UserError, match=r"is \[0,9\], and the detector was trained with"):
        detector.evaluate(overrides=["data.value_range=[0,9]"])


def test_training_refuses_other_channels_before_it_starts(arrays):
    data = [f"data.path={arrays}", "data=folder", "data.channels=3"]
    words = [word for word in TINY if not word.startswith("data.reader")]
    with pytest.raises(UserError, match=r"1\.npy: holds uint16 values: set data\.value_range"):
        detkit.train([*words, *data])


def test_an_exported_file_takes_the_same_arrays(detector, run, arrays, tmp_path):
    pytest.importorskip("onnxruntime")
    output = tmp_path / "model.onnx"
    assert main(["export", f"ckpt={run.folder}", f"output={output}", *GUESSES]) in (0, None)
    values = np.load(arrays / "2.npy")
    exported = detkit.load(output).predict(values, threshold=0)[0]
    result = detector.predict(values, threshold=0)[0]
    np.testing.assert_allclose(exported.boxes, result.boxes, atol=0.01)
    with pytest.raises(UserError, match=r"expected \(H, W, 4\)"):
        detkit.load(output).predict(values[..., :3])
