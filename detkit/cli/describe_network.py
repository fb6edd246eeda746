"""`detkit describe` of a whole network: its layers, and pictures of its receptive fields."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from detkit import assembly
from detkit.cli.composed_model import ComposedModel, composed_model
from detkit.cli.data_words import own_options
from detkit.cli.output_folder import make_folder
from detkit.config.override_text import value_of
from detkit.config.page_list import pages_of
from detkit.config.part_pages import find_part
from detkit.errors import UserError
from detkit.export.graph import only_size
from detkit.files import write_atomically
from detkit.network_summary.effective_fields import EffectiveField, effective_fields
from detkit.network_summary.layer_table import NOT_RUN, as_csv, as_json, layer_lines
from detkit.network_summary.layers import Layer, ReceptiveField, layers_of
from detkit.ops.input_channels import COLOURS
from detkit.ops.meta_device import on_meta
from detkit.registry import NonNegativeInt, PositiveInt
from detkit.runs.checkpoint import load_weights
from detkit.sweeps.estimates.meta_network import Network
from detkit.text import counted
from detkit.visualization.effective_field_picture import plot_effective_field

_FORMATS = (".csv", ".json")
_SEED = 0


@dataclass(frozen=True)
class Options:
    """The command's options, in addition to the training's.

    Args:
        depth: Levels of modules to show; 0 shows all.
        num_classes: Number of classes to assume; a checkpoint has its own.
        output: A file for the layers, .csv or .json.
        fields: A folder for pictures of the effective receptive fields.
    """

    depth: NonNegativeInt = 2
    num_classes: PositiveInt = 80
    output: str | None = None
    fields: str | None = None


@dataclass(frozen=True)
class _Subject:
    """A network to describe.

    Attributes:
        title: What it is.
        model: Its configuration, and its checkpoint.
        is_backbone: Whether only the backbone of the detector is described.
        network: The backbone or the detector, on the meta device.
        size: Height and width of the images.
    """

    title: str
    model: ComposedModel
    is_backbone: bool
    network: nn.Module
    size: tuple[int, int]


def run(words: Sequence[str]) -> None:
    """Print the layers of a network; write a file and pictures if asked to.

    Raises:
        UserError: There is no such network, or a value does not fit.
    """
    names = [word for word in words if "=" not in word]
    options, settings = own_options(Options, [word for word in words if "=" in word])
    output = _checked_output(options["output"])
    subject = _subject(names, settings, options["num_classes"])
    layers = _layers(subject)
    depth = options["depth"] or None
    print("\n".join([subject.title, *layer_lines(layers, depth), *_remarks(subject, layers)]))
    if output is not None:
        make_folder(output.parent)
        is_csv = output.suffix == ".csv"
        write_atomically(
            output, as_csv(layers, depth) if is_csv else as_json(layers, depth, subject.size)
        )
        print(f"\nwritten: {output}")
    if options["fields"] is not None:
        folder = make_folder(Path(options["fields"]).expanduser())
        print("\n".join(["", *_draw_fields(subject, layers, folder)]))


def _remarks(subject: _Subject, layers: Sequence[Layer]) -> list[str]:
    """Layers that do not run in a prediction, or whose operations are not counted."""
    node = subject.model.composed.config["model"]
    if subject.is_backbone or "roi_head" not in node:
        is_partly_unused = any(layer.is_unused for layer in layers)
        return [f"{NOT_RUN}: layers that only training uses"] if is_partly_unused else []
    if not assembly.needs_masks(node):
        return []
    return ["not counted: operations of the mask head, which depend on the number of detections"]


def _checked_output(text: str | None) -> Path | None:
    if text is None:
        return None
    path = Path(text).expanduser()
    if path.suffix not in _FORMATS:
        raise UserError(f"output={text}: expected a file name that ends in .csv or .json.")
    return path


def _subject(names: list[str], settings: list[str], num_classes: int) -> _Subject:
    """The network that the words name: a detector page, a backbone, or a whole configuration.

    Raises:
        UserError: The name is neither a detector page nor a backbone.
    """
    *family, name = names or [""]
    words, is_backbone = list(settings), False
    if name and family in ([], ["model"]) and name in {page.name for page in pages_of("model")}:
        words.insert(0, f"model={name}")
    elif name:
        if family not in ([], ["backbone"]):
            raise UserError(
                f"'{' '.join(names)}' is no network: `detkit describe` counts the layers of a "
                "detector page, such as retinanet, of a backbone, such as resnet50, or of model=..."
            )
        find_part("backbone", name)  # which refuses other names
        if value_of(words, "ckpt") not in (None, "null"):
            raise UserError(f"ckpt=... has its own backbone: leave out '{name}'.")
        words.insert(0, f"model/backbone={name}")
        is_backbone = True
    model = composed_model(words, num_classes)
    network = _on_meta(model, is_backbone)
    size = _image_size(model, network)
    node = model.composed.config["model"]
    what = f"backbone '{node['backbone']['name']}'" if is_backbone else f"detector '{node['name']}'"
    classes = "" if is_backbone else f" and {counted(len(model.classes.names), 'class')}"
    title = f"{what}, layer by layer, for an image of {size[0]} x {size[1]} pixels{classes}"
    return _Subject(title, model, is_backbone, network, size)


def _image_size(model: ComposedModel, network: nn.Module) -> tuple[int, int]:
    """Height and width of the images.

    If no setting resizes images, that is the size that the layers or priors are built for, which
    this prints to the standard error; else 640.
    """
    config = model.composed.config
    only = only_size(network)
    if only is None or assembly.configured_size(config) is not None:
        return assembly.image_size(config)
    height, width = only
    print(f"note: image_size=[{height},{width}], which the detector is built for", file=sys.stderr)
    return only


def _layers(subject: _Subject) -> list[Layer]:
    if subject.is_backbone:

        def run_backbone(images: Tensor) -> object:
            with torch.device("meta"):
                return subject.network(images)

        return layers_of(subject.network, run_backbone, subject.size)
    network = Network(subject.network, subject.model.composed.config["model"])

    def run_detector(images: Tensor) -> object:
        return network.run(images, "postprocess")

    return layers_of(subject.network, run_detector, subject.size)


def _on_meta(model: ComposedModel, is_backbone: bool) -> nn.Module:
    """The backbone or the detector of a model, without memory for its weights."""
    if is_backbone:
        with on_meta():
            return _backbone(model).eval()
    node = model.composed.config["model"]
    detector: nn.Module = assembly.describe_on_meta(node, model.classes)
    return detector.eval()


def _backbone(model: ComposedModel) -> nn.Module:
    node = model.composed.config["model"]["backbone"]
    backbone: nn.Module = assembly.build(
        "backbone", node, {"fetch_weights": False}, ("model", "backbone")
    )
    return backbone


def _draw_fields(subject: _Subject, layers: Sequence[Layer], folder: Path) -> list[str]:
    """Draw the effective receptive field of each level; return lines about the pictures."""
    features = _features(subject)
    fields = effective_fields(features, subject.size, channels=_channels(subject))
    name = "" if subject.is_backbone else "neck"
    theoretical = next(layer.fields for layer in layers if layer.name == name)
    lines = []
    levels = zip(_strides(subject), fields, theoretical, strict=True)
    for number, (stride, field, theory) in enumerate(levels, start=1):
        picture = folder / f"level_{number}_stride_{stride}.png"
        text = _draw(field, theory, f"receptive field at stride {stride}", picture)
        lines.append(f"{picture}: {text}")
    return lines


def _strides(subject: _Subject) -> list[int]:
    network: Any = subject.network if subject.is_backbone else subject.network.neck
    return [spec.stride for spec in network.feature_specs]


def _draw(field: EffectiveField, theory: ReceptiveField | None, title: str, picture: Path) -> str:
    """Draw one level; return its sizes as text."""
    size = None if theory is None or theory.is_cut_off else (theory.height, theory.width)
    plot_effective_field(
        field.influence,
        title=title,
        theoretical=size,
        effective=field.side,
        picture=picture,
    )
    text = "the whole image" if size is None else f"{size[0]} x {size[1]} pixels"
    return f"effective {field.side:.0f} x {field.side:.0f} pixels, theoretical {text}"


def _channels(subject: _Subject) -> int:
    mean = subject.model.composed.config["model"].get("pixel_mean")
    return COLOURS if subject.is_backbone or mean is None else len(mean)


def _features(subject: _Subject) -> Callable[[Tensor], list[Tensor]]:
    """Normalised images to the levels of a network with its checkpoint's or with random weights."""
    torch.manual_seed(_SEED)
    if subject.is_backbone:
        backbone = _backbone(subject.model).eval()
        return lambda images: list(backbone(images))
    node = subject.model.composed.config["model"]
    detector = assembly.build_detector(node, subject.model.classes, fetch_weights=False)
    if subject.model.checkpoint is not None:
        load_weights(detector, subject.model.checkpoint)
    detector.eval()
    backbone, neck = (detector.get_submodule(part) for part in ("backbone", "neck"))
    return lambda images: list(neck(backbone(images)))
