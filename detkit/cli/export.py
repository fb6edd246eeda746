"""`detkit export`: write a detector for another engine, and certify what was written."""

from __future__ import annotations

import sys
from pathlib import Path

from detkit.api.checkpoint_config import checkpoint_of, compose_with
from detkit.api.export import Export
from detkit.config.override_text import value_of
from detkit.config.overrides import quoted_value
from detkit.errors import UserError

HELP = """
usage: detkit export RUN [KEY=VALUE ...]

Writes the best checkpoint of a run for another engine. The graph takes `images`, float32
(B, 3, H, W) RGB from 0 to 255, or the channels of the run, and returns boxes, scores, labels and
counts, and masks if the detector has a mask head. The file is then certified: it runs in its engine
on validation images of several sizes, and its outputs and its AP are compared with PyTorch's.
Writes the certificate beside it, as JSON and as text.
Exit code: 1 if the certificate fails; the file is kept as NAME.failed, and the first layer whose
output differs is named.

  detkit export runs/demo                                     demo.onnx, any batch and size
  detkit export runs/demo format=openvino output=demo.xml
  detkit export runs/demo format=triton output=repository/demo
  detkit export runs/demo size=[320,416] batch=1              a fixed shape
  detkit export runs/demo nms=false                           all boxes and scores, without NMS
  detkit export runs/demo precision=int8 calibration=PHOTOS sensitivity=true
  detkit export runs/demo data.path=DATA data.limit_images=200    another or a shorter certificate

format=NAME        onnx (default), openvino, torch_export, triton, or a plugin's exporter
precision=NAME     fp32 (default), fp16 or int8; int8 takes 32 or more calibration images, from the
                   training split unless calibration= names a folder or pattern
keep_float=[A,B]   layers that int8 leaves in float, such as [neck,head.layers]
sensitivity=true   lists what int8 costs each layer

Needs the extra `export` (pip install 'detkit[export]'), and `openvino` for format=openvino.
"""


def run(arguments: list[str]) -> int:
    """Export; return 1 if the certificate failed."""
    words = _with_settings(arguments)
    checkpoint = checkpoint_of(words, "export")
    config = compose_with(checkpoint, "export", words)
    export = Export(checkpoint, config, _name_of(value_of(words, "ckpt") or ""))
    for note in export.notes:
        print(note, file=sys.stderr)
    exported = export.run()
    print(exported.certificate.text())
    print(f"written: {exported.path}, {', '.join(file.name for file in exported.files)}")
    return 0 if exported.certificate.passed else 1


def _with_settings(arguments: list[str]) -> list[str]:
    """The overrides: `ckpt=` for a run that comes first, `exporter=` for `format=`.

    Raises:
        UserError: Both name the same setting.
    """
    words = list(arguments)
    if words and ("=" not in words[0] or Path(words[0]).exists()):
        words[0] = f"ckpt={quoted_value(words[0])}"
    for word in [word for word in words if word.startswith("format=")]:
        if value_of(words, "exporter"):
            raise UserError("format= and exporter= are the same setting: give one of them.")
        words[words.index(word)] = word.replace("format=", "exporter=", 1)
    size = value_of(words, "size")
    if size not in (None, "dynamic") and value_of(words, "image_size") is None:
        words.append(f"image_size={size}")
    return words


def _name_of(source: str) -> str:
    path = Path(source).resolve()
    return path.name if path.is_dir() else path.stem
