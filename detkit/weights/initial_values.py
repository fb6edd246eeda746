"""Initial weights of the layers that start untrained, by a method of the user's choice."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from detkit import registry
from detkit.text import counted, listed

Method = Literal["he", "xavier", "orthogonal", "sparse"]
_RELU_GAIN = math.sqrt(2)
_INPUTS = 15  # of a unit with sparse weights; section 5 of the paper
_PRETRAINED = ("weights", "pretrained", "checkpoint")  # arguments of backbones
_OUTPUT_LAYERS = ("_layer", "_layers")  # ends of names: class_layer, box_layers, ...


def initialise(detector: nn.Module, method: Method, model: Mapping[str, Any]) -> str:
    """Draw new weights for the convolutions and linear layers of a detector, in place.

    Every `nn.Conv2d`, `nn.ConvTranspose2d` and `nn.Linear` gets new weights, with these exceptions:

    - a backbone with pretrained weights, or of a plugin that does not tell,
    - output layers, whose small weights set the first predictions and losses: outside the backbone,
      all layers in an attribute named `..._layer` or `..._layers`, such as `class_layer`,
    - weights that are all zero, such as a deformable convolution's offsets, and frozen weights.

    Biases stay, among them the class prior of focal loss. So do norms, queries and other
    parameters. Values come from PyTorch's global random generator.

    Papers: He et al., 2015, https://arxiv.org/abs/1502.01852, equation 10; Glorot and Bengio, 2010,
    equation 16; Saxe et al., 2014, https://arxiv.org/abs/1312.6120; Martens, 2010, section 5, for
    sparse weights: each unit has 15 non-zero inputs. Departures: orthogonal weights are scaled by
    sqrt(2), as detectors use ReLU; sparse ones have the deviation sqrt(2 / 15), which keeps the
    variance, instead of 1.

    Args:
        detector: The detector, before weights of a file replace some of its own.
        method: `he` draws normal values, `xavier` uniform ones.
        model: The detector's configuration.

    Returns:
        A line on what was initialised and what was not.
    """
    fill = _METHODS[method]
    keeps_backbone = _may_be_pretrained(model.get("backbone"))
    counts: dict[str, int] = {}
    for name, weight in _hidden_weights(detector):
        part = name.split(".")[0]
        if not (part == "backbone" and keeps_backbone):
            weight.copy_(fill(weight))
            counts[part] = counts.get(part, 0) + 1
    parts = listed(f"{part} ({counted(number, 'layer')})" for part, number in counts.items())
    backbone = ", and so does the backbone" if keeps_backbone else ""
    return (
        f"init={method}: new weights in {parts or 'no layer'}; output layers, biases and norms "
        f"keep their initial values{backbone}"
    )


def _may_be_pretrained(backbone: Any) -> bool:
    """Whether a backbone, or one inside it, has pretrained weights, or may have without telling."""
    if not isinstance(backbone, Mapping):
        return False
    if any(backbone.get(key) for key in _PRETRAINED):
        return True
    tells = any(key in backbone for key in _PRETRAINED)
    inner = [value for value in backbone.values() if isinstance(value, Mapping)]
    is_foreign = registry.part("backbone", backbone["name"]).origin != "detkit"
    return (is_foreign and not tells and not inner) or any(map(_may_be_pretrained, inner))


def is_output(name: str) -> bool:
    """Whether a module, by its name in the detector, belongs to an output layer."""
    part, *inner = name.split(".")
    return part != "backbone" and any(key.endswith(_OUTPUT_LAYERS) for key in inner)


def _hidden_weights(detector: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The weights to initialise by layer name, each as (units, inputs, ...)."""
    for name, layer in detector.named_modules():
        if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            continue
        weight = layer.weight.detach()
        if is_output(name) or not layer.weight.requires_grad or not weight.any():
            continue
        yield name, weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight


def _he(weight: Tensor) -> Tensor:
    return nn.init.kaiming_normal_(torch.empty(weight.shape), nonlinearity="relu")


def _xavier(weight: Tensor) -> Tensor:
    return nn.init.xavier_uniform_(torch.empty(weight.shape))


def _orthogonal(weight: Tensor) -> Tensor:
    return nn.init.orthogonal_(torch.empty(weight.shape), gain=_RELU_GAIN)


def _sparse(weight: Tensor) -> Tensor:
    """Hand-written because `nn.init.sparse_` limits the units of an input instead."""
    rows = torch.zeros(weight.shape[0], weight[0].numel())  # (units, inputs)
    number = min(_INPUTS, rows.shape[1])
    columns = torch.rand_like(rows).topk(number).indices  # (units, number)
    values = torch.randn(columns.shape) * (_RELU_GAIN / math.sqrt(number))
    return rows.scatter(1, columns, values).view(weight.shape)


_METHODS: dict[Method, Callable[[Tensor], Tensor]] = {
    "he": _he,
    "xavier": _xavier,
    "orthogonal": _orthogonal,
    "sparse": _sparse,
}
