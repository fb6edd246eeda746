"""A file that `detkit export` wrote is a detector like a run."""

import copy
import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from exported_files import MODEL, write_data, write_onnx, write_raw
from PIL import Image
from pycocotools import mask

import detkit

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
WHITE = np.full((30, 40, 3), 255, np.uint8)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_onnx(tmp_path_factory.mktemp("exported") / "model.onnx")


@pytest.fixture(scope="module")
def exported(file):
    return detkit.load(file)


def test_it_has_the_attributes_of_a_run(exported, file):
    assert isinstance(exported, detkit.Detector)
    assert (exported.class_names, exported.device) == (("cat", "dog"), "cpu")
    assert (exported.threshold, exported.threshold_origin) == (0.1, "stored in model.onnx")
    assert repr(exported) == f"Detector({file}, 2 classes (cat, dog), device='cpu')"


def test_it_predicts_in_pixels_of_the_original_image(exported):
    (result,) = exported.predict(WHITE)
    assert result.boxes.tolist() == [[0, 0, 40, 30], [0, 0, 20, 15]]
    np.testing.assert_allclose(result.scores, [1, 0.5])
    assert (result.names, result.size) == (("cat", "dog"), (30, 40))
    assert [row["category_id"] for row in result.to_coco(3)] == [7, 9]
    assert np.array(result.draw()).any()


def test_every_input_type_gives_the_same_detections(exported, tmp_path):
    picture, stream = Image.fromarray(WHITE), io.BytesIO()
    picture.save(tmp_path / "a.png")
    picture.save(stream, "PNG")
    tensor = torch.from_numpy(WHITE).permute(2, 0, 1)
    inputs = [tmp_path / "a.png", str(tmp_path), stream.getvalue(), picture, WHITE, tensor]
    results = exported.predict(inputs, batch_size=4)
    assert len(results) == len(inputs)
    assert all(result.boxes[1].tolist() == [0, 0, 20, 15] for result in results)


def test_the_threshold_is_a_minimum_score(exported):
    assert len(exported.predict(WHITE, threshold=0.6)[0]) == 1
    assert len(exported.predict(WHITE // 20)[0]) == 0  # below the file's own threshold


def test_mixed_sizes_do_not_depend_on_each_other(exported):
    images = [WHITE, WHITE[:20], WHITE // 2, WHITE[:20] // 3]
    together = exported.predict(images, threshold=0, batch_size=4)
    for image, result in zip(images, together, strict=True):
        (alone,) = exported.predict(image, threshold=0)
        np.testing.assert_array_equal(alone.boxes, result.boxes)
        np.testing.assert_array_equal(alone.scores, result.scores)


def test_a_letterbox_of_the_run_is_undone(tmp_path):
    node = {"name": "letterbox", "height": 64, "width": 64, "centred": True, "enlarge": True}
    model = replace(MODEL, resize={"fit": node | {"fill": 255}}, size=(64, 64), batch=2)
    (result,) = detkit.load(write_onnx(tmp_path / "fixed.onnx", model)).predict(WHITE)
    assert result.boxes[0].tolist() == [0, 0, 40, 30]
    # the quarter of the canvas, 32 x 32, less the 8 rows above the image, at a scale of 1.6
    np.testing.assert_allclose(result.boxes[1], [0, 0, 20, 15])


def test_a_file_without_post_processing_gets_that_of_the_run(tmp_path):
    (result,) = detkit.load(write_raw(tmp_path / "raw.onnx")).predict(WHITE)
    assert result.names == ("cat", "dog", "cat")
    np.testing.assert_allclose(result.scores, [1, 0.5, 0.5], rtol=1e-6)


def test_a_stream_continues_after_a_broken_image(exported):
    first, error, last = exported.stream([WHITE, b"no image", WHITE])
    assert isinstance(error, detkit.DataError)
    assert str(error) == "cannot read inputs[1]: not an image."
    assert (len(first), len(last)) == (2, 2)


def test_threads_share_it_and_copies_equal_it(exported):
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: exported.predict(WHITE)[0].scores.tolist(), range(8)))
    assert results == [copy.deepcopy(exported).predict(WHITE)[0].scores.tolist()] * 8


def test_overrides_have_no_effect_on_a_file(file):
    with pytest.raises(detkit.UserError, match=r"'image_size=64' has no effect on .*model\.onnx"):
        detkit.load(file, overrides=["image_size=64"])


def test_it_is_measured_on_a_data_set(exported, tmp_path):
    numbers = exported.evaluate(write_data(tmp_path), overrides=["split=all", "data.workers=0"])
    assert numbers["AP"] == numbers["AP/cat"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], r"names no data set to measure it on: add data\.path=DATA"),
        (["model.head.postprocess.max_detections=5"], "has no effect on .* fixed when it was"),
        (["image_size=64"], "has no effect on"),
        (["device=cpu"], r"pass device to detkit\.load"),
    ],
)
def test_what_a_file_cannot_do_is_refused(exported, words, message):
    with pytest.raises(detkit.UserError, match=message):
        exported.evaluate(overrides=words)


@pytest.fixture(scope="module")
def with_masks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("masks")
    return write_onnx(folder / "masks.onnx", replace(MODEL, mask_size=8))


def test_masks_are_pasted_into_the_original_image(with_masks):
    (result,) = detkit.load(with_masks).predict(WHITE)
    assert (result.masks.shape, result.masks.dtype) == ((2, 30, 40), np.bool_)
    assert result.masks[0, 2:28, 2:20].all()  # corners are round
    assert not result.masks[0, :, 22:].any()
    assert [mask.decode(rle).sum() for rle in result.rle()] == result.masks.sum((1, 2)).tolist()
    ((polygon,), _) = result.polygons()
    np.testing.assert_allclose(polygon.max(axis=0), [20, 30], atol=1)
    assert detkit.load(with_masks).predict(WHITE, threshold=0.6)[0].masks.shape == (1, 30, 40)


def test_a_file_without_masks_has_none(exported):
    assert exported.predict(WHITE)[0].masks is None


def test_mask_ap_is_measured_if_the_data_have_masks(with_masks, tmp_path):
    words = ["split=all", "data.workers=0"]
    numbers = detkit.load(with_masks).evaluate(write_data(tmp_path, masks=True), overrides=words)
    assert numbers["AP"] == 1
    assert numbers["mask_AP50"] == 1
    assert numbers["mask_AP"] > 0.5


PROGRAM = """
import sys, detkit
(result,) = detkit.load(sys.argv[1]).predict(sys.argv[2])
result.draw(), result.to_coco(), len(result)
assert result.masks.any() and all(result.rle()) and all(result.polygons())
heavy = {"torch", "torchvision", "lightning", "hydra", "omegaconf", "matplotlib", "pydantic"}
print(sorted({name.split(".")[0] for name in sys.modules} & heavy))
"""


@pytest.mark.slow
def test_predicting_imports_neither_torch_nor_hydra(with_masks, photos):
    command = [sys.executable, "-c", PROGRAM, str(with_masks), str(photos / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_it_holds_thresholds_of_classes(tmp_path):
    model = replace(MODEL, class_thresholds={"dog": 0.6})
    detector = detkit.load(write_onnx(tmp_path / "model.onnx", model))
    assert detector.minimum_scores("per_class") == {"cat": 0.1, "dog": 0.6}
    assert detector.predict(WHITE, threshold="per_class")[0].names == ("cat",)
    assert detector.predict(WHITE, threshold={"cat": 1})[0].names == ("cat", "dog")


def test_without_thresholds_of_classes_it_refuses_them(exported):
    with pytest.raises(detkit.UserError, match="has no thresholds per class"):
        exported.predict(WHITE, threshold="per_class")
