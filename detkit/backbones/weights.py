"""Load backbone weights, and report every mismatch."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import WeightsEnum

from detkit.errors import UserError
from detkit.structures.published_weights import TORCHVISION_LICENCE, PublishedWeights
from detkit.text import listed

_WRAPPERS = ("state_dict", "model")  # keys under which training scripts store weights


def published_by_torchvision(weights: WeightsEnum) -> PublishedWeights:
    """The file of torchvision's weights."""
    return PublishedWeights(weights.url, TORCHVISION_LICENCE, weights.meta.get("_file_size"))


def require_levels(
    backbone: str, levels: tuple[int, ...], possible: Sequence[tuple[int, ...]]
) -> None:
    """Raise UserError unless a backbone supports these levels."""
    if tuple(levels) not in possible:
        choices = listed((list(choice) for choice in possible), "or")
        raise UserError(
            f"backbone '{backbone}' does not support levels {list(levels)}: set levels to "
            f"{choices}."
        )


def find_weights(weights: str, published: WeightsEnum) -> dict[str, Tensor]:
    """The published weights for "imagenet", else the weights in a file.

    Args:
        weights: "imagenet" or the path of a file.
        published: torchvision's weights.

    Raises:
        UserError: The weights cannot be downloaded or read.
    """
    if weights != "imagenet":
        return read_weights(weights)
    try:
        return dict(published.get_state_dict(progress=False, check_hash=True))
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"the ImageNet weights could not be fetched from {published.url} ({error}): connect "
            f"to the network, put the file into {torch.hub.get_dir()}/checkpoints, set `weights` "
            "to the path of a local file, or to null to train from scratch."
        ) from error


def read_weights(file: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint file (PyTorch or safetensors); never runs code from it.

    Raises:
        UserError: The file does not exist, is damaged, or contains more than weights.
    """
    path = Path(file)
    if not path.is_file():
        raise UserError(f"there is no file '{file}': give the path of a checkpoint file.")
    content: Any
    try:
        if path.suffix == ".safetensors":
            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, SafetensorError, RuntimeError, EOFError, OSError) as error:
        raise UserError(
            f"'{file}' cannot be read as weights ({type(error).__name__}): give a file that "
            "holds tensors only, as torch.save(model.state_dict(), file) writes it."
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        raise UserError(f"'{file}' holds a {type(content).__name__}, expected named tensors.")
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def load_weights(
    module: nn.Module, weights: dict[str, Tensor], source: str, simplify: Callable[[str], str] = str
) -> None:
    """Copy weights into a backbone; names that only the file has (a classifier's) are ignored.

    Args:
        module: The backbone.
        weights: Named tensors.
        source: The source of the weights, for messages.
        simplify: Maps a name of either side to a common name.

    Raises:
        UserError: The file lacks some of the backbone's tensors or has another shape.
    """
    available = {simplify(name): value for name, value in weights.items()}
    state = module.state_dict()
    optional = {name for name in state if name.endswith("num_batches_tracked")}
    missing = [name for name in state if simplify(name) not in available and name not in optional]
    matched = {name: available[simplify(name)] for name in state if simplify(name) in available}
    reshaped = [name for name, value in matched.items() if value.shape != state[name].shape]
    if missing or reshaped:
        kinds = {"are missing": missing, "have another shape": reshaped}
        text = "; ".join(f"{_some(names)} {kind}" for kind, names in kinds.items() if names)
        raise UserError(
            f"the weights in '{source}' do not fit: of {len(state)} tensors {text}. Use weights of "
            "the same architecture."
        )
    module.load_state_dict(matched, strict=False)


def _some(names: list[str]) -> str:
    dots = ", ..." if len(names) > 3 else ""  # noqa: PLR2004  # enough to recognise the model
    return f"{len(names)} ({', '.join(names[:3])}{dots})"


def is_without_memory(module: nn.Module) -> bool:
    """Whether the module is on the meta device, built only for its shapes."""
    return any(parameter.is_meta for parameter in module.parameters())
