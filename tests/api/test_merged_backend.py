"""Ensembles: classes by name, weights, what does not fit together, evaluation."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from exported_files import MODEL, write_data, write_onnx

import detkit
from detkit.api.view_settings import view_settings

pytest.importorskip("onnxruntime")
WHITE = np.full((30, 40, 3), 255, np.uint8)


@pytest.fixture
def file(tmp_path):
    return write_onnx(tmp_path / "a.onnx")


def other(tmp_path, **changes):
    return write_onnx(tmp_path / "b.onnx", replace(MODEL, **changes))


def test_an_ensemble_of_equals_changes_nothing(file):
    (alone,), (result,) = (detkit.load(s).predict(WHITE) for s in (file, [file, file]))
    np.testing.assert_allclose(result.boxes, alone.boxes)
    np.testing.assert_allclose(result.scores, alone.scores)


# pain 136
def test_classes_are_matched_by_name(file, tmp_path):
    swapped = other(tmp_path, class_names=("dog", "cat"), category_ids=(9, 7))
    (result,) = detkit.load([file, swapped]).predict(WHITE)
    rows = {(name, tuple(box)) for name, box in zip(result.names, result.boxes, strict=True)}
    assert len(rows) == 4  # each class was detected in the whole image and in its quarter
    assert {row["category_id"] for row in result.to_coco(1)} == {7, 9}
    np.testing.assert_allclose(sorted(result.scores), [0.25, 0.25, 0.5, 0.5])


def test_a_class_that_one_detector_knows_keeps_its_score(file, tmp_path):
    horses = other(tmp_path, class_names=("cat", "horse"), category_ids=(7, 9))
    detector = detkit.load([file, horses])
    assert detector.class_names == ("cat", "dog", "horse")
    (result,) = detector.predict(WHITE)
    assert result.names == ("cat", "dog", "horse")
    np.testing.assert_allclose(result.scores, [1, 0.5, 0.5])
    assert [row["category_id"] for row in result.to_coco(1)] == [7, 9, 10]
    assert detector._backend.notes == [
        f"only {file} detects dog",
        f"only {tmp_path / 'b.onnx'} detects horse",
    ]


def test_weights_decide_how_much_a_detector_counts(file, tmp_path):
    alone = other(tmp_path, class_names=("cat", "pig"))
    (result,) = detkit.load([file, alone], weights=[3, 1], merge="nms").predict(WHITE)
    np.testing.assert_allclose(result.scores[0], 0.75)


def test_the_threshold_is_the_mean(file, tmp_path):
    strict = other(tmp_path, score_threshold=0.5)
    detector = detkit.load([file, strict], weights=[1, 3])
    assert detector.threshold == pytest.approx(0.4)
    assert "0.10 and 0.50" in detector.threshold_origin
    assert detector.device == "cpu"


def test_views_and_detectors_go_together(file):
    detector = detkit.load([file, file], tta={"flip": True}, merge="soft_nms")
    (result,) = copy.deepcopy(detector).predict(WHITE)
    assert result.boxes[0].tolist() == [0, 0, 40, 30]


def test_it_is_measured_on_data(file, tmp_path):
    words = ["split=all", "data.workers=0"]
    assert detkit.load([file, file]).evaluate(write_data(tmp_path), overrides=words)["AP"] == 1
    with pytest.raises(detkit.UserError, match="names no data set to measure it on"):
        detkit.load([file, file]).evaluate()


@pytest.mark.slow
def test_a_run_and_a_file_are_measured_on_the_data_of_the_run(tiny_run, file):
    shapes = tuple(detkit.load(tiny_run.folder, device="cpu").class_names)
    names = write_onnx(file, replace(MODEL, class_names=shapes[:2]))
    detector = detkit.load([names, tiny_run.folder], device="cpu")
    assert set(detector.class_names) == set(shapes)
    assert 0 <= detector.evaluate()["AP"] <= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": ("pig", "hen")}, r"no class in common: .*a.onnx detects cat, dog; .*b.on"),
        ({"value_range": (0.0, 9.0)}, r"or their value ranges differ: an ensemble needs"),
    ],
)
# pain 136
def test_what_does_not_fit_together_is_refused(file, tmp_path, changes, message):
    with pytest.raises(detkit.UserError, match=message):
        detkit.load([file, other(tmp_path, **changes)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": [1]}, r"ckpt_weights=\[1\]: expected 2 numbers, one for each detector"),
        ({"weights": [1, 0]}, r"ckpt_weights=\[1, 0\]: expected numbers above 0"),
        ({"merge": "wbf"}, r"merge=wbf: there is no such post-processor"),
    ],
)
def test_wrong_settings_are_explained(file, arguments, message):
    with pytest.raises(detkit.UserError, match=message):
        detkit.load([file, file], **arguments)


def test_settings_without_an_effect_are_refused(file):
    with pytest.raises(detkit.UserError, match=r"merge=nms: there is nothing to merge"):
        detkit.load(file, merge="nms")
    with pytest.raises(detkit.UserError, match=r"there is one detector"):
        detkit.load([file], weights=[1], tta={"flip": True})
    with pytest.raises(detkit.UserError, match="got an empty list"):
        detkit.load([])
    for name in ("tiling", "tta", "merge"):
        with pytest.raises(detkit.UserError, match=rf"{name}={{}}: changes nothing"):
            detkit.load([file, file], **{name: {}})
    with pytest.raises(detkit.UserError, match="got 3; expected paths"):
        detkit.load([file, 3])


def test_by_default_a_missing_view_costs_nothing_and_a_missing_detector_does():
    default = view_settings(2, tta={"flip": True})
    assert (default.view_merging.settings["score"], default.merging.settings["score"]) == (
        "highest",
        "agreement",
    )
    chosen = view_settings(2, merge="soft_nms")
    assert chosen.view_merging.settings == chosen.merging.settings
    assert chosen.merging.name == "soft_nms"
