"""Detectors for programs: what they predict, share and refuse."""

import copy
import json
import math
import os
import pickle
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_run import GUESSES

import detkit
from detkit.cli.main import main


def assert_equal(results, expected):
    assert len(results) == len(expected)
    for result, other in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result.boxes, other.boxes)
        np.testing.assert_array_equal(result.scores, other.scores)
        assert result.names == other.names


def test_one_image_and_many_give_a_list(detector, photos):
    (single,) = detector.predict(photos / "a.png", threshold=0)
    results = detector.predict([photos / "b.png", str(photos / "a.png")], threshold=0)
    assert len(single) == 20
    assert [result.path.name for result in results] == ["b.png", "a.png"]
    assert_equal(results[1:], [single])


def test_boxes_are_in_pixels_of_the_original_image(detector, photos):
    (result,) = detector.predict(photos / "a.png", threshold=0)
    assert result.size == (90, 120)
    assert (result.boxes >= 0).all()
    assert (result.boxes <= [120, 90, 120, 90]).all()
    assert result.boxes[:, 2].max() > 96  # the detector sees images of 96 pixels


def test_a_batch_of_different_sizes_equals_single_images(detector, photos):
    names = ["a.png", "b.png", "c.png"]
    single = [detector.predict(photos / name, threshold=0)[0] for name in names]
    batch = detector.predict([photos / name for name in names], threshold=0, batch_size=3)
    for result, other in zip(batch, single, strict=True):
        np.testing.assert_allclose(result.boxes, other.boxes, atol=1e-3)
        np.testing.assert_allclose(result.scores, other.scores, atol=1e-5)
        assert result.names == other.names


def test_the_threshold_is_a_minimum_score(detector, photos):
    (result,) = detector.predict(photos / "a.png", threshold=0)
    middle = float(result.scores[10])
    (filtered,) = detector.predict(photos / "a.png", threshold=middle)
    assert len(filtered) == (result.scores >= middle).sum() < 20


def test_classes_can_have_thresholds_of_their_own(detector, photos):
    (result,) = detector.predict(photos / "a.png", threshold=0)
    name = result.names[0]
    others = {other: 1.0 for other in detector.class_names if other != name}
    (filtered,) = detector.predict(photos / "a.png", threshold={**others, name: 0})
    assert set(filtered.names) == {name}
    assert len(filtered) == result.names.count(name)


def test_the_default_threshold_is_the_one_with_the_best_f1(trained, photos, tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    os.link(trained / "first/checkpoints/best.ckpt", folder / "checkpoints/best.ckpt")
    best = {"analysis": {"score_thresholds": {"all_classes": {"score_threshold": 0.0125}}}}
    (folder / "metrics.json").write_text(json.dumps(best))
    other = detkit.load(folder, device="cpu", overrides=GUESSES)
    assert other.threshold == 0.0125
    assert "F1" in other.threshold_origin
    expected = other.predict(photos / "a.png", threshold=0.0125)
    assert_equal(other.predict(photos / "a.png"), expected)


def test_boxes_equal_the_command(detector, trained, photos, tmp_path):
    words = [f"ckpt={trained / 'first'}", f"source={photos}", f"output={tmp_path / 'out'}"]
    assert main(["predict", *words, "score_threshold=0", "device=cpu", *GUESSES]) == 0
    results = detector.predict(photos, threshold=0)
    rows = [row for number, r in enumerate(results, start=1) for row in r.to_coco(number)]
    assert len(rows) == 60
    assert rows == json.loads((tmp_path / "out/detections.json").read_text())
    drawn = Image.open(tmp_path / "out/a.png")
    np.testing.assert_array_equal(np.array(results[0].draw()), np.array(drawn))


def test_a_bundle_and_a_checkpoint_load_too(detector, trained, photos, tmp_path):
    assert main(["bundle", f"ckpt={trained / 'first'}", f"output={tmp_path / 'bundle'}"]) == 0
    expected = detector.predict(photos / "a.png", threshold=0)
    for source in (tmp_path / "bundle", str(trained / "first/checkpoints/best.ckpt")):
        other = detkit.load(source, device="cpu", overrides=GUESSES)
        assert other.class_names == detector.class_names
        assert_equal(other.predict(photos / "a.png", threshold=0), expected)


def test_two_detectors_are_independent(detector, trained, photos):
    expected = detector.predict(photos / "a.png", threshold=0)
    other = detkit.load(trained / "first", overrides=["image_size=64"])
    with torch.no_grad():
        for parameter in other._backend._predictor._detector.parameters():
            parameter.zero_()
    assert_equal(detector.predict(photos / "a.png", threshold=0), expected)


def test_threads_share_a_detector(detector, photos):
    names = ["a.png", "b.png", "c.png"] * 4
    expected = [detector.predict(photos / name, threshold=0)[0] for name in names]
    threads = threading.active_count()
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda name: detector.predict(photos / name, threshold=0), names))
    assert_equal([result for (result,) in results], expected)
    assert threading.active_count() == threads


def test_the_first_predictions_may_come_from_several_threads(trained, photos):
    fresh = detkit.load(trained / "first", device="cpu", overrides=GUESSES)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: fresh.predict(photos / "a.png", threshold=0), range(4)))
    for other in results[1:]:
        assert_equal(other, results[0])


def test_settings_of_pytorch_stay_as_they_are(detector, photos):
    before = torch.get_num_threads(), torch.get_rng_state(), torch.get_default_dtype()
    with torch.enable_grad():
        detector.predict(photos / "a.png")
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_a_stream_continues_after_a_broken_image(detector, photos, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"text")
    paths = [photos / "a.png", tmp_path / "broken.jpg", photos / "b.png"]
    first, error, last = detector.stream(paths)
    assert (first.path, last.path) == (paths[0], paths[2])
    assert isinstance(error, detkit.DataError)
    assert str(error).startswith(f"cannot read the image '{paths[1]}': ")


def test_predict_stops_at_a_broken_image(detector, photos, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"text")
    with pytest.raises(detkit.DataError, match=r"cannot read the image '.*broken.jpg': "):
        detector.predict([photos / "a.png", tmp_path / "broken.jpg"])
    with pytest.raises(detkit.DataError, match=r"cannot read inputs\[1\]: not an image\."):
        detector.predict([photos / "a.png", b"no image"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 1.5}, "threshold is 1.5; expected a score from 0 to 1"),
        ({"threshold": "0.4"}, "threshold is '0.4'; expected a score"),
        ({"threshold": [0.4]}, r"threshold is \[0.4\]; expected a score"),
        ({"threshold": math.nan}, "threshold is nan; expected a score"),
        ({"batch_size": 0}, "batch_size is 0; expected 1 or more"),
        ({"batch_size": 2.5}, "batch_size is 2.5; expected 1 or more"),
        ({"batch_size": None}, "batch_size is None; expected 1 or more"),
    ],
)
def test_arguments_out_of_range_are_refused(detector, photos, arguments, message):
    with pytest.raises(detkit.UserError, match=message):
        detector.predict(photos / "a.png", **arguments)


def test_a_source_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(detkit.UserError, match=r"source=.*nothing: there is no such file"):
        detkit.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("score_threshold=0.1", "pass threshold to predict"),
        ("++device=cuda", "pass device to detkit.load"),
        ("ckpt=other", "pass the checkpoint to detkit.load"),
    ],
)
def test_an_override_without_effect_is_refused(trained, word, remedy):
    with pytest.raises(detkit.UserError, match=rf"'{re.escape(word)}' has no effect.*{remedy}"):
        detkit.load(trained / "first", overrides=[word])


def test_evaluate_refuses_a_device_and_a_string_of_overrides(detector):
    with pytest.raises(detkit.UserError, match=r"pass device to detkit\.load"):
        detector.evaluate(overrides=["device=cpu"])
    with pytest.raises(detkit.UserError, match="expected a list of strings"):
        detector.evaluate(overrides="split=train")


@pytest.mark.parametrize("device", ["gpu", "mps", None, 0])
def test_an_unknown_device_is_refused(trained, device):
    with pytest.raises(detkit.UserError, match=f"device={device}: expected auto, cpu, cuda"):
        detkit.load(trained / "first", device=device)


def test_a_device_of_pytorch_is_taken(trained):
    assert detkit.load(trained / "first", device=torch.device("cpu")).device == "cpu"


def test_a_copy_of_a_detector_gives_equal_results(detector, photos):
    duplicate = pickle.loads(pickle.dumps(detector))
    duplicate.threshold = 0
    expected = detector.predict(photos / "a.png", threshold=0)
    assert_equal(copy.deepcopy(duplicate).predict(photos / "a.png"), expected)


def test_loading_and_measuring_draw_no_random_numbers_of_the_program(trained):
    before = torch.get_rng_state()
    detkit.load(trained / "first", device="cpu").evaluate()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_wrong_override_is_refused(trained):
    with pytest.raises(detkit.ConfigError, match="image_sise"):
        detkit.load(trained / "first", overrides=["image_sise=64"])


def test_evaluate_gives_the_numbers_of_the_command(detector, trained, tmp_path):
    plain = detkit.load(trained / "first", device="cpu")
    plain.predict(np.zeros((96, 96, 3), np.uint8))  # what it needs for predictions changes nothing
    assert main(["evaluate", f"ckpt={trained / 'first'}", f"output={tmp_path}"]) == 0
    written = json.loads((tmp_path / "metrics.json").read_text())
    numbers = plain.evaluate()
    assert numbers["AP50"] >= 0
    assert {k: None if math.isnan(v) else v for k, v in numbers.items()} == {
        name: written[name] for name in numbers
    }


def test_evaluate_takes_other_data_and_overrides(detector, photos, tmp_path):
    folder = tmp_path / "it's data, in a folder"
    shutil.copytree(photos, folder / "val")
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [9, 9, 40, 40], "area": 1600}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 120, "height": 90}],
        "annotations": [{**box, "iscrowd": 0}],
        "categories": [{"id": 1, "name": "circle"}],
    }
    (folder / "annotations").mkdir()
    (folder / "annotations/instances_val.json").write_text(json.dumps(content))
    numbers = detector.evaluate(folder, overrides=["split=val", "metric=voc"])
    assert 0 <= numbers["AP50"] <= 1
    assert "AR100" not in numbers  # a number of COCO's


def test_the_representation_names_the_source(detector):
    text = repr(detector)
    assert text.startswith("Detector(")
    assert "6 classes (circle, cross, ring, square, star, ...), device='cpu')" in text


def test_a_result_of_a_path_keeps_it(detector, photos, monkeypatch):
    monkeypatch.chdir(photos)
    (result,) = detector.predict("a.png")
    assert result.path == Path("a.png")


def test_intervals_are_numbers_too(tiny_run):
    numbers = tiny_run.load().evaluate(overrides=["intervals={samples: 100}"])
    assert numbers["AP50_low"] <= numbers["AP50"] <= numbers["AP50_high"]
    assert "AP_low/circle" in numbers
