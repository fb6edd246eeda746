"""`detkit export`: the file, its certificate, and what is refused before any work starts."""

import contextlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_run import GUESSES, TINY

import detkit
from detkit.cli.main import main

DOCS = Path(__file__).parents[2] / "docs" / "export.md"


# pain 90
@pytest.mark.slow
def test_the_certificate_compares_outputs_and_ap(exported: Path) -> None:
    content = json.loads(exported.with_name("tiny.certificate.json").read_text())
    assert content["passed"]
    assert [check["name"] for check in content["checks"]] == ["axes", "outputs", "AP", "layers"]
    assert all(check["passed"] for check in content["checks"])
    assert content["ap"]["PyTorch"] == pytest.approx(content["ap"]["onnxruntime"], abs=1e-3)
    assert content["different"] == 0
    assert content["rows"] == 4 * 20
    text = exported.with_name("tiny.certificate.txt").read_text()
    assert re.search(r"AP: \.\d{3} in PyTorch, \.\d{3} in onnxruntime on 4 images", text)
    assert "0 of 80 detections differ" in text


@pytest.mark.slow
def test_ap_is_the_one_that_detkit_evaluate_measures(exported: Path) -> None:
    content = json.loads(exported.with_name("tiny.certificate.json").read_text())
    detector = detkit.load(exported.parent / "first", overrides=GUESSES)
    assert content["ap"]["PyTorch"] == pytest.approx(detector.evaluate()["AP"], abs=1e-6)


# pain 90
@pytest.mark.slow
def test_the_lines_of_the_documentation_give_detkits_boxes(
    exported: Path, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = next((work / "datasets/shapes").glob("*/val/*.jpg"))
    block = DOCS.read_text().split("```python\n")[1].split("```")[0]
    block = block.replace("model.onnx", str(exported)).replace("photo.jpg", str(photo))
    names: dict[str, object] = {}
    exec(block, names)
    (result,) = detkit.load("first", overrides=GUESSES).predict(photo, threshold=0.0)
    assert len(capsys.readouterr().out.splitlines()) == len(result) == 20
    np.testing.assert_allclose(names["boxes"], result.boxes, atol=0.01)
    np.testing.assert_allclose(names["scores"][0], result.scores, atol=1e-4)  # type: ignore[index]


def test_the_block_of_the_documentation_stays_short() -> None:
    block = DOCS.read_text().split("```python\n")[1].split("```")[0]
    lines = [line for line in block.splitlines() if line and "import" not in line]
    assert len(lines) <= 17
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "ckpt=nowhere: there is no such file or folder"),
        ([], "detkit export needs a checkpoint: ckpt=RUN"),
        (["first", "format=onx"], r"there is no exporter 'onx'.* Did you mean 'onnx'"),
        (["first", "format=onnx", "exporter=onnx"], "format= and exporter= are the same setting"),
        (["first", "format=torch_export", "precision=int8"], "writes fp32, not precision=int8"),
        (["first", "output=model.xml"], r"format=onnx writes a file that ends in \.onnx"),
        (["first", "sensitivity=true"], "sensitivity has an effect on precision=int8 only"),
        (["first", "size=100"], r"multiples of 32 .*use size=\[128,128\]"),
        (["first", "precision=int8"], r"training images .*: 8 images: int8 needs 32 or more"),
        (["first", "precision=int8", "calibration=photos"], "calibration=photos: "),
        (
            ["first", "model/head/postprocess=soft_nms"],
            r"model\.head\.postprocess: .*choose postprocess 'nms'",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_work_is_refused_first(
    words: list[str], message: str, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(work.glob("*.onnx"))
    assert main(["export", *words]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert set(work.glob("*.onnx")) == before


@pytest.mark.parametrize("words", [["format=triton"], ["format=onnx"]])
def test_a_folder_with_files_is_not_replaced(
    words: list[str], work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / ("mine" if words == ["format=triton"] else "mine.onnx")
    folder.mkdir()
    (folder / "photo.jpg").write_bytes(b"mine")
    assert main(["export", "first", *words, f"output={folder}"]) == 2
    assert f"output={folder} is a folder with files" in capsys.readouterr().err
    assert [file.name for file in folder.iterdir()] == ["photo.jpg"]


def test_too_few_calibration_images_are_counted(
    work: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "first", "precision=int8", f"calibration={photos}"]) == 2
    assert f"calibration={photos}: 3 images: int8 needs 32" in capsys.readouterr().err


@pytest.mark.slow
def test_a_failed_certificate_keeps_the_file_under_another_name(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from detkit.export import onnx as onnx_exporter

    convert = onnx_exporter.to_onnx

    def damaged(*arguments):
        model = convert(*arguments)
        name = "detector.head.layers.class_layer.weight"
        (tensor,) = [t for t in model.graph.initializer if t.name == name]
        tensor.raw_data = (np.frombuffer(tensor.raw_data, np.float32) * 3 + 1).tobytes()
        return model

    monkeypatch.setattr(onnx_exporter, "to_onnx", damaged)
    assert main(["export", "first", "output=damaged.onnx", *GUESSES]) == 1
    assert (work / "damaged.failed.onnx").is_file()
    assert not (work / "damaged.onnx").exists()
    text = (work / "damaged.failed.certificate.txt").read_text()
    assert "FAILED" in text
    assert "first layer that differs: head.layers.class_layer:" in text
    assert "written: damaged.failed.onnx" in capsys.readouterr().out


@pytest.mark.slow
def test_a_missing_data_set_is_said_in_the_certificate(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data=folder", "data.path=nowhere", "output=blind.onnx", *GUESSES]
    assert main(["export", "first", *words]) == 0
    printed = capsys.readouterr()
    assert "the certificate will lack AP and real images: " in printed.err
    assert "passed, not everything was checked" in printed.out
    assert "not done  AP: no images to measure it on" in printed.out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["format=openvino"], "first.xml"),
        (["format=triton", "output=repository/first"], "repository/first/1/model.onnx"),
        (["format=torch_export", "size=96"], "first.pt2"),
        (["precision=fp16"], "first_fp16.onnx"),
        (["batch=1", "size=[96,128]", "output=fixed.onnx"], "fixed.onnx"),
    ],
    ids=" ".join,
)
def test_every_format_and_precision_passes(words: list[str], file: str, work: Path) -> None:
    assert main(["export", "first", *words, *GUESSES]) == 0
    assert (work / file).is_file()


@pytest.fixture(scope="module")
def memorised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a run `memorised` that knows its eight training images."""
    folder = tmp_path_factory.mktemp("memorised")
    words = ["trainer.max_epochs=80", "optimizer.learning_rate=0.02", "augmentation.train={}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        detkit.train([*TINY, *words, "trainer.validate_every=80", "run_folder=memorised"])
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("is_broken", [False, True], ids=["right", "without suppression"])
def test_ap_without_post_processing_is_that_of_nms_in_numpy(
    is_broken: bool,
    memorised: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(memorised)
    if is_broken:
        monkeypatch.setattr(
            "detkit.inference.engines.suppression._unsuppressed",
            lambda boxes, groups, iou_threshold, most: np.arange(len(boxes))[:most],
        )
    code = main(["export", "memorised", "nms=false", "split=train", "output=raw.onnx"])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "AP:" in line]
    numbers = re.search(r"AP: (\S+) in PyTorch, (\S+) in onnxruntime", line)
    assert numbers is not None, line
    pytorch, engine = map(float, numbers.groups())
    assert pytorch > 0.2  # else two wrong numbers could agree
    assert (code, engine == pytorch) == ((1, False) if is_broken else (0, True)), line


@pytest.mark.slow
@pytest.mark.parametrize("exporter", ["onnx", "openvino"])
def test_int8_shows_before_and_after(
    exporter: str, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = work / "calibration"
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(0)
    for number in range(32):
        pixels = generator.integers(0, 255, (96, 96, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    words = [f"format={exporter}", "precision=int8", f"calibration={folder}", "ap_tolerance=1"]
    words += ["sensitivity=true"] if exporter == "onnx" else []
    assert main(["export", "first", *words, *GUESSES]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"[\d.]+ MB, [\d.]+ MB in fp32", printed)
    assert re.search(r"ms in \w+ \([\d.]+ ms in fp32\)", printed)
    assert ("signal to noise" in printed) == (exporter == "onnx")
    with contextlib.suppress(FileNotFoundError):
        assert not list(work.glob("*.float.*"))
