"""`detkit import`: load weights of a file into a composed detector."""

from __future__ import annotations

from pathlib import Path

from detkit.config import compose
from detkit.config.override_text import value_of
from detkit.config.overrides import quoted_value
from detkit.errors import UserError
from detkit.weights.published import fetch_weights
from detkit.weights.resnet_style import in_style
from detkit.weights.source import read_source
from detkit.weights.start import import_weights
from detkit.weights.weight_source import WeightSource

HELP = """
usage: detkit import FILE [as=PAGE] [KEY=VALUE ...]

Loads the weights of a file into a composed detector, reports which tensors fit, and writes a
checkpoint to evaluate, predict with or fine-tune. The tensors' names tell where FILE comes from:
  torchvision     RetinaNet, FCOS, Faster and Mask R-CNN, SSD, SSDlite; backbones, timm's too
  MMDetection     RetinaNet, FCOS, ATSS, Faster and Cascade R-CNN, SSD300, YOLOv3, YOLOX
  Detectron2      RetinaNet, Faster, Mask and Cascade R-CNN
  YOLOX           the authors' tiny, s, m, l and x
  Ultralytics     YOLOv5, YOLOv8, YOLO11, saved as tensors; its weights are under AGPL-3.0
  DETR            the authors' file or that of transformers
  detkit          a run, a checkpoint, a bundle
FILE is a .pt, .pth, .safetensors, or a .pkl of NumPy arrays. It is read as data; Python objects
are refused.
Darknet's own files (YOLOv2 to YOLOv4 and their tiny versions) are read too. They hold neither
anchors nor names: set model.head.priors.sizes if yours differ from the page's, and `classes` unless
the file has the 80 classes of COCO.

  detkit import retinanet_resnet50_fpn_coco-eeacb38b.pth
  detkit import fcos.pth classes=names.txt output=mine.ckpt
  detkit import retinanet_r50-caffe_fpn.pth caffe=true      MMDetection's variant for BGR images
  detkit import retinanet.pth new_classes=[person,dog]      takes the weights of these classes
  detkit import convnext.safetensors model=fcos model/backbone=timm \\
      model.backbone.model=convnext_tiny new_classes=[cat,dog]

as=PAGE            the model page; without it, the one that fits the file (short for model=PAGE)
caffe=true|false   whether a ResNet of MMDetection or Detectron2 is Caffe's (see
                   docs/from-mmdetection.md and docs/from-detectron2.md)
classes=NAMES      the file's classes, if it contains no names: [a,b], or a file (one name per
                   line, COCO JSON, YOLO YAML); 91 classes from torchvision are COCO's
new_classes=NAMES  classes to detect instead; those that the file lacks get random weights
output=FILE        the checkpoint (FILE's name with .ckpt)

detkit's own weights get their own model.
To train from a file, no import is needed: detkit train weights=FILE
"""


def run(arguments: list[str]) -> int:
    """Import weights and print their coverage."""
    file, words = _file_of(arguments)
    words = [f"model={w.removeprefix('as=')}" if w.startswith("as=") else w for w in words]
    fetch_weights(file, key="file")
    source, words = _in_style(read_source(file, key="file"), words)
    checkpoint_config = source.checkpoint.config if source.checkpoint else None
    page = "checkpoint" if checkpoint_config else source.page
    if page and value_of(words, "model") is None:
        words.append(f"model={page}")
        if value_of(words, "augmentation") is None:
            words.append(
                f"augmentation={'checkpoint' if checkpoint_config else source.augmentation}"
            )
        if page == source.page:
            print(f"model={page}, judged by the names of the file's tensors")
    chosen = value_of(words, "model")
    is_own_page = chosen == source.page  # settings of layers fit this page alone
    overrides = [w for w in source.overrides if is_own_page or w.startswith("model.pixel_")]
    words = [*overrides, *words]
    config = compose.compose("import", [f"file={quoted_value(file)}", *words], checkpoint_config)
    imported = import_weights(config, source)
    print(imported.report)
    if not imported.coverage.is_complete:
        print("tensors not loaded keep random initial values: train before you evaluate")
    print(f"written: {imported.path}")
    return 0


def _in_style(source: WeightSource, words: list[str]) -> tuple[WeightSource, list[str]]:
    """Apply `caffe=` to the source, and return the other words.

    Raises:
        UserError: Its value is neither true nor false, or the file has no such ResNet.
    """
    value = value_of(words, "caffe")
    if value is None:
        return source, words
    if value not in ("true", "false"):
        raise UserError(f"caffe={value}: expected true or false.")
    return in_style(source, value == "true"), [w for w in words if not w.startswith("caffe=")]


def _file_of(arguments: list[str]) -> tuple[str, list[str]]:
    """The file, given as the first word or as `file=...`, and the other words.

    Raises:
        UserError: No file is given.
    """
    named = value_of(arguments, "file")
    if named:
        return named, [word for word in arguments if not word.startswith("file=")]
    if arguments and ("=" not in arguments[0] or Path(arguments[0]).exists()):
        return arguments[0], arguments[1:]
    raise UserError("detkit import needs a file: detkit import FILE [KEY=VALUE ...].")
