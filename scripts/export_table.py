"""Export every page of conf/model and write the table of docs/export.md.

    python scripts/export_table.py              all pages; takes a minute or two for each
    python scripts/export_table.py fcos atss    only these; the other rows stay
    python scripts/export_table.py --only-page  write the page from the rows measured before
    python scripts/export_table.py --trained RUN   the table of a trained detector

Weights are random, so that nothing has to be trained or fetched, but scaled (`calibrate`), as
untrained scores are nearly equal or saturate. The numbers compare the engines, and AP says nothing
about the detectors. Each page runs in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "export.md"
ROWS = ROOT / "docs" / "export.json"
BEGIN, END = "<!-- table: python scripts/export_table.py -->", "<!-- end of the table -->"
DATA = [
    "data=shapes",
    "data.reader.train_images=4",
    "data.reader.validation_images=6",
    "data.workers=0",
    "data.validation_batch_size=2",
]
SIZES = {
    "ssd300": 300,
    "torchvision_ssd300": 300,
    "mmdet_ssd300": 300,
    "ssd512": 512,
}  # the others take any
SIZE = 256
WORDS = {
    "cornernet": ["model/head/postprocess=nms"],  # its soft-NMS cannot be exported
    # 300 regions, as in the paper: the certificate of 1,000 takes more than 14 GB.
    "faster_rcnn_c4": ["model.proposer.postprocess.max_detections=300"],
}
# With seed 0, the best two boxes of an image overlap and have scores 4e-6 apart: rounding decides
# which one NMS keeps, and with it twenty others.
SEEDS = {"yolov8x": 1}
TRAINED = "<!-- trained: python scripts/export_table.py --trained RUN -->"
END_TRAINED = "<!-- end of the trained table -->"
WAYS = {
    "ONNX": ["exporter=onnx"],
    "ONNX, float16": ["exporter=onnx", "precision=fp16"],
    "ONNX, int8": ["exporter=onnx", "precision=int8"],
    "ONNX, nms=false": ["exporter=onnx", "nms=false"],
    "OpenVINO": ["exporter=openvino"],
}
HEADINGS = [
    ("page", "model"),
    ("size", "image"),
    ("megabytes", "MB"),
    ("difference", "largest difference"),
    ("ap", "AP: PyTorch / onnxruntime"),
    ("pytorch", "PyTorch ms"),
    ("onnxruntime", "onnxruntime ms"),
    ("openvino", "OpenVINO ms"),
]


def main(words: list[str]) -> int:
    if words[:1] == ["--measure"]:
        print(json.dumps(measured(words[1])))
        return 0
    if words[:1] == ["--trained"]:
        replace_table(TRAINED, END_TRAINED, trained_table(words[1]))
        return 0
    rows = json.loads(ROWS.read_text()) if ROWS.is_file() else {}
    pages = [word for word in words if not word.startswith("--")]
    for page in pages or ([] if words else model_pages()):
        command = [sys.executable, __file__, "--measure", page]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{page} failed:\n{done.stderr[-2000:]}", file=sys.stderr)
            continue
        rows[page] = json.loads(done.stdout.splitlines()[-1])
        print(page, rows[page], flush=True)
        ROWS.write_text(json.dumps(dict(sorted(rows.items())), indent=1) + "\n")
    replace_table(BEGIN, END, table(rows))
    return 0


def replace_table(begin: str, end: str, lines: str) -> None:
    """Replace what stands between two comments of the page."""
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(begin)[0], text.split(end)[1]
    PAGE.write_text(f"{before}{begin}\n\n{lines}\n\n{end}{after}", encoding="utf-8")


def trained_table(run: str) -> str:
    """Export a trained run in each way; a row for each."""
    from detkit.api.checkpoint_config import compose_with
    from detkit.api.export import Export
    from detkit.runs.checkpoint import find_checkpoint, read_checkpoint

    checkpoint = read_checkpoint(find_checkpoint(run))
    rows = [["export", "AP: PyTorch / engine", "differ", "MB", "PyTorch ms", "engine ms"]]
    rows.append(["---"] * len(rows[0]))
    for name, words in WAYS.items():
        with TemporaryDirectory() as folder:
            output = f"{folder}/model{'.onnx' if 'ONNX' in name else '.xml'}"
            config = compose_with(checkpoint, "export", [f"ckpt={run}", f"output={output}", *words])
            certificate = Export(checkpoint, config, "model").run().certificate
        print(certificate.text(), flush=True)
        speed = certificate.speed
        differ = f"{certificate.different:,} of {certificate.rows:,}"
        rows.append(
            [
                name if certificate.passed else f"{name} (certificate failed)",
                " / ".join(f"{value:.3f}" for value in certificate.ap.values()),
                "not counted" if "int8" in name else differ,
                f"{certificate.megabytes:.1f}",
                f"{speed.pytorch:.0f}" if speed else "",
                f"{speed.engine:.0f}" if speed else "",
            ]
        )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def model_pages() -> list[str]:
    return sorted(file.stem for file in (ROOT / "conf" / "model").glob("*.yaml"))


def table(rows: dict[str, dict[str, Any]]) -> str:
    lines = [[heading for _, heading in HEADINGS], ["---"] * len(HEADINGS)]
    lines += [[str(row[key]) for key, _ in HEADINGS] for _, row in sorted(rows.items())]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def measured(page: str) -> dict[str, Any]:
    """Export a page with random weights and compare its engines."""
    from torch.nn.functional import interpolate

    from detkit.api.checkpoint_config import compose_with
    from detkit.api.export import Export
    from detkit.runs.checkpoint import read_checkpoint

    with TemporaryDirectory() as folder:
        path, images = random_checkpoint(page, Path(folder))
        checkpoint = read_checkpoint(path)
        words = [f"ckpt={checkpoint.path}", f"output={folder}/{page}.onnx"]
        exported = Export(checkpoint, compose_with(checkpoint, "export", words), page).run()
        certificate = exported.certificate
        print(certificate.text(), file=sys.stderr)
        if not certificate.passed or certificate.speed is None:
            raise SystemExit(f"the certificate of {page} failed")
        height, width = certificate.speed.size
        image = interpolate(images[:1], (height, width), mode="bilinear").numpy()
        openvino = in_openvino(exported.path, image)
        return {
            "page": page,
            "size": f"{height} x {width}",
            "megabytes": f"{certificate.megabytes:.1f}",
            "difference": f"{certificate.pixels:.1g} px, {certificate.score:.1g}"
            f"{'' if certificate.mask is None else f', masks {certificate.mask:.1g}'}; "
            f"{certificate.different} of {certificate.rows} differ",
            "ap": ap_texts(certificate.ap)
            + "; masks " * bool(certificate.mask_ap)
            + ap_texts(certificate.mask_ap),
            "pytorch": f"{certificate.speed.pytorch:.0f}",
            "onnxruntime": f"{certificate.speed.engine:.0f}",
            "openvino": openvino,
        }


def ap_texts(ap: dict[str, float]) -> str:
    return " / ".join(f"{value:.4f}" for value in ap.values())


def in_openvino(file: Path, images: Any) -> str:
    """Milliseconds of the ONNX file in OpenVINO on one thread, if its outputs are onnxruntime's."""
    from detkit.export.certification import milliseconds
    from detkit.export.comparison import TOLERANCES, Comparison
    from detkit.inference.engines.onnx_runtime import OnnxRuntime
    from detkit.inference.engines.open_vino import OpenVino

    engine = OpenVino(file, 1)
    comparison = Comparison(TOLERANCES["fp32"])
    comparison.add(OnnxRuntime(file, 1)(images), engine(images))
    text = f"{milliseconds(lambda: engine(images)):.0f}"
    different = f" ({comparison.different} of {comparison.rows} differ)"
    return text + different * (not comparison.is_close)


def random_checkpoint(page: str, folder: Path, changes: Sequence[str] = ()) -> tuple[Path, Any]:
    """A checkpoint of a page with random weights, and the validation images (B, 3, H, W)."""
    import torch

    from detkit import assembly
    from detkit.assembly import Classes
    from detkit.config.compose import compose
    from detkit.runs.checkpoint_record import RECORD, Record

    augmentation = page.removeprefix("torchvision_").removeprefix("mmdet_")
    sized = augmentation in ("ssd300", "ssd512", "ssdlite")
    words = [f"model={page}", *WORDS.get(page, []), *changes, *DATA, f"data.path={folder}/shapes"]
    words += [f"augmentation={augmentation}"] if sized else []
    words += [] if page in SIZES else [f"image_size={SIZE}"]
    config = compose("train", words)
    lower_thresholds(config["model"])
    data = assembly.build_data(config)
    classes = Classes(data.class_names, data.category_ids)
    torch.manual_seed(SEEDS.get(page, 0))
    detector = assembly.build_detector(config["model"], classes, fetch_weights=False)
    batches = data.measuring_loader(data.indices.validation)
    images = torch.cat([batch.images for batch in batches]).float()
    calibrate(detector, images)
    record = Record(config, classes.names, classes.category_ids)
    weights = {f"detector.{name}": value for name, value in detector.state_dict().items()}
    path = folder / "random.ckpt"
    torch.save({RECORD: record.plain(), "state_dict": weights, "epoch": 0}, path)
    return path, images


def calibrate(detector: Any, images: Any) -> None:
    """Give the output of each layer mean 0 and deviation 1 on these images (B, 3, H, W).

    Fresh layers score everything alike, and random ones saturate: many scores are then equal, and
    rounding decides which boxes NMS removes.
    """
    import torch

    rescaled = set()

    def rescale(layer: Any, _inputs: Any, output: Any) -> Any:
        if layer in rescaled:  # it is shared by several levels
            return output
        rescaled.add(layer)
        channel = -1 if isinstance(layer, torch.nn.Linear) else 1
        rows = output.movedim(channel, -1).flatten(0, -2)
        factor = 1 / rows.std().clamp(min=1e-6)
        shift = -rows.mean(dim=0) * factor
        layer.weight.mul_(factor)
        if layer.bias is None:
            return output * factor
        layer.bias.mul_(factor).add_(shift)
        return layer(_inputs[0])

    layers = (torch.nn.Conv2d, torch.nn.Linear)
    hooks = [
        module.register_forward_hook(rescale)
        for module in detector.modules()
        if isinstance(module, layers)
    ]
    with torch.no_grad():
        detector.eval().detect(images)
    for hook in hooks:
        hook.remove()


def lower_thresholds(node: Any) -> None:
    """Let post-processing keep the best guesses: random weights are never confident."""
    for key, value in node.items() if isinstance(node, dict) else ():
        if key == "score_threshold" and isinstance(value, float):
            node[key] = 0.0
        lower_thresholds(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
