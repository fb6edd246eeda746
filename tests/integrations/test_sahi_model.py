"""SAHI's sliced prediction with a detector of detkit, beside detkit's own tiles."""

import importlib
import sys
from dataclasses import replace

import numpy as np
import pytest
from exported_files import MODEL, write_onnx

import detkit

MODULE = "detkit.integrations.sahi"


@pytest.fixture(scope="module")
def sahi_model():
    pytest.importorskip("sahi", reason='pip install "detkit[sahi]"')
    return importlib.import_module(MODULE).SahiModel


def sliced(model, image, **options):
    from sahi.predict import get_sliced_prediction

    settings = {"slice_height": 32, "slice_width": 32, "overlap_height_ratio": 0.25}
    settings |= {"overlap_width_ratio": 0.25, "postprocess_type": "NMS", "verbose": 0}
    settings |= {"postprocess_match_metric": "IOU", "perform_standard_pred": False}
    return get_sliced_prediction(image, model, **settings | options).object_prediction_list


def rows(predictions):
    return sorted(
        (*p.bbox.to_xyxy(), p.category.name, round(p.score.value, 5)) for p in predictions
    )


@pytest.fixture
def image():
    """64 x 96 pixels of blocks of different brightness."""
    blocks = np.random.default_rng(0).integers(30, 255, (4, 6), dtype=np.uint8)
    return np.kron(blocks, np.ones((16, 16), np.uint8))[..., None].repeat(3, axis=2)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_slices_equal_tiles(sahi_model, model_file, image, batch_size):
    model = sahi_model(str(model_file), confidence_threshold=0.1, device="cpu")
    tiling = {"size": 32, "overlap": 0.25, "drop_cut": False}
    (result,) = detkit.load(model_file, tiling=tiling).predict(image, threshold=0.1)
    scores = [round(score, 5) for score in result.scores.tolist()]
    expected = [
        (*b, n, s) for b, n, s in zip(result.boxes.tolist(), result.names, scores, strict=True)
    ]
    assert rows(sliced(model, image, batch_size=batch_size)) == sorted(expected)
    assert (model.num_categories, model.category_names) == (2, ["cat", "dog"])


def test_a_loaded_detector_and_the_whole_image(sahi_model, model_file, bright):
    model = sahi_model(model=detkit.load(model_file), confidence_threshold=0.6)
    predictions = sliced(model, bright, perform_standard_pred=True)
    assert (0, 0, 80, 40, "cat", 0.8) in rows(predictions)
    assert not model.has_mask


def test_masks_become_polygons_of_the_whole_image(sahi_model, tmp_path, bright):
    file = write_onnx(tmp_path / "masks.onnx", replace(MODEL, mask_size=8))
    model = sahi_model(str(file), confidence_threshold=0.6)
    predictions = sliced(model, bright, slice_height=40, slice_width=40, overlap_width_ratio=0.0)
    masks = [prediction.mask.bool_mask for prediction in predictions]
    assert model.has_mask
    assert {mask.shape for mask in masks} == {(40, 80)}
    assert sorted(mask.nonzero()[1].min() for mask in masks) == [0, 40]


def test_without_sahi_one_line_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sahi.models.base", None)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    with pytest.raises(detkit.UserError, match=r'pip install "detkit\[sahi\]"'):
        importlib.import_module(MODULE)
