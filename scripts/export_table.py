"""Export every page of conf/model and write the table of docs/export.md.

    python scripts/export_table.py              all pages; takes a minute or two for each
    python scripts/export_table.py fcos atss    only these; the other rows stay
    python scripts/export_table.py --only-page  write the page from the rows measured before

Weights are random, so that nothing has to be trained or fetched: the numbers compare the engines,
and AP says nothing about the detectors. Each page runs in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
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
SIZES = {"ssd300": 300, "torchvision_ssd300": 300, "ssd512": 512}  # the others take any
SIZE = 256
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
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{after}", encoding="utf-8")
    return 0


def model_pages() -> list[str]:
    return sorted(file.stem for file in (ROOT / "conf" / "model").glob("*.yaml"))


def table(rows: dict[str, dict[str, Any]]) -> str:
    lines = [[heading for _, heading in HEADINGS], ["---"] * len(HEADINGS)]
    lines += [[str(row[key]) for key, _ in HEADINGS] for _, row in sorted(rows.items())]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def measured(page: str) -> dict[str, Any]:
    """Export a page with random weights and compare its engines."""
    from detkit.api.checkpoint_config import compose_with
    from detkit.api.export import Export
    from detkit.runs.checkpoint import read_checkpoint

    with TemporaryDirectory() as folder:
        checkpoint = read_checkpoint(random_checkpoint(page, Path(folder)))
        words = [f"ckpt={checkpoint.path}", f"output={folder}/{page}.onnx"]
        exported = Export(checkpoint, compose_with(checkpoint, "export", words), page).run()
        certificate = exported.certificate
        print(certificate.text(), file=sys.stderr)
        if not certificate.passed or certificate.speed is None:
            raise SystemExit(f"the certificate of {page} failed")
        openvino = in_openvino(exported.path, certificate.speed.size)
        height, width = certificate.speed.size
        return {
            "page": page,
            "size": f"{height} x {width}",
            "megabytes": f"{certificate.megabytes:.1f}",
            "difference": f"{certificate.pixels:.1g} px, {certificate.score:.1g}; "
            f"{certificate.different} of {certificate.rows} differ",
            "ap": " / ".join(f"{value:.4f}" for value in certificate.ap.values()),
            "pytorch": f"{certificate.speed.pytorch:.0f}",
            "onnxruntime": f"{certificate.speed.engine:.0f}",
            "openvino": openvino,
        }


def in_openvino(file: Path, size: tuple[int, int]) -> str:
    """Milliseconds of the ONNX file in OpenVINO on one thread, if its outputs are onnxruntime's."""
    import numpy as np

    from detkit.export.certification import milliseconds
    from detkit.export.comparison import TOLERANCES, Comparison
    from detkit.export.engines import OnnxRuntime, OpenVino

    images = np.random.default_rng(0).uniform(0, 255, (1, 3, *size)).astype(np.float32)
    engine = OpenVino(file, 1)
    comparison = Comparison(TOLERANCES["fp32"])
    comparison.add(OnnxRuntime(file, 1)(images), engine(images))
    text = f"{milliseconds(lambda: engine(images)):.0f}"
    different = f" ({comparison.different} of {comparison.rows} differ)"
    return text + different * (not comparison.is_close)


def random_checkpoint(page: str, folder: Path) -> Path:
    """A checkpoint of a page with random weights, for the embedded data set."""
    import torch

    from detkit import assembly
    from detkit.assembly import Classes
    from detkit.config.compose import compose
    from detkit.runs.checkpoint_record import RECORD, Record

    augmentation = page.removeprefix("torchvision_")
    sized = augmentation in ("ssd300", "ssd512", "ssdlite")
    words = [f"model={page}", *DATA, f"data.path={folder}/shapes"]
    words += [f"augmentation={augmentation}"] if sized else []
    words += [] if page in SIZES else [f"image_size={SIZE}"]
    config = compose("train", words)
    lower_thresholds(config["model"])
    data = assembly.build_data(config)
    classes = Classes(data.class_names, data.category_ids)
    torch.manual_seed(0)
    detector = assembly.build_detector(config["model"], classes, fetch_weights=False)
    spread_scores(detector)
    record = Record(config, classes.names, classes.category_ids)
    weights = {f"detector.{name}": value for name, value in detector.state_dict().items()}
    path = folder / "random.ckpt"
    torch.save({RECORD: record.plain(), "state_dict": weights, "epoch": 0}, path)
    return path


def spread_scores(detector: Any) -> None:
    """Give features and logits a spread of about 1: fresh layers score everything alike.

    The order of equal scores decides which boxes NMS removes, and engines differ in it.
    """
    import torch

    for module in detector.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        detector.train()
        detector.backbone((torch.rand(4, 3, SIZE, SIZE) - 0.5) * 4)
        for name, parameter in detector.named_parameters():
            if parameter.ndim > 1 and not name.startswith("backbone"):
                parameter.add_(torch.randn_like(parameter) / parameter[0].numel() ** 0.5)
    detector.eval()


def lower_thresholds(node: Any) -> None:
    """Let post-processing keep the best guesses: random weights are never confident."""
    for key, value in node.items() if isinstance(node, dict) else ():
        if key == "score_threshold" and isinstance(value, float):
            node[key] = 0.0
        lower_thresholds(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
