"""Weights of a backbone from a local file, with every mismatch reported."""

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
from detkit.text import listed

_WRAPPERS = ("state_dict", "model")  # under which training scripts store the weights


def require_levels(
    backbone: str, levels: tuple[int, ...], possible: Sequence[tuple[int, ...]]
) -> None:
    """Raise UserError unless a backbone that has few levels is asked for a possible choice."""
    if tuple(levels) not in possible:
        choices = listed((list(choice) for choice in possible), "or")
        raise UserError(
            f"backbone '{backbone}': levels {list(levels)} cannot be given: set levels to "
            f"{choices}."
        )


def find_weights(weights: str, published: WeightsEnum) -> dict[str, Tensor]:
    """The weights that torchvision publishes for "imagenet", else those of a file.

    Args:
        weights: "imagenet" or the path of a file.
        published: torchvision's.

    Raises:
        UserError: They cannot be fetched or read.
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
    """The tensors of a checkpoint file (PyTorch or safetensors); runs no code of the file.

    Raises:
        UserError: There is no such file, it is damaged, or it does not hold weights only.
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
    """Copy weights into a backbone; names that only the file has (a classifier's) are left out.

    Args:
        module: The backbone.
        weights: Named tensors.
        source: Where they are from, for messages.
        simplify: Maps a name of either side to what both sides call it.

    Raises:
        UserError: The backbone has names that are missing or of another shape in the file.
    """
    given = {simplify(name): value for name, value in weights.items()}
    own = module.state_dict()
    optional = {name for name in own if name.endswith("num_batches_tracked")}
    missing = [name for name in own if simplify(name) not in given and name not in optional]
    found = {name: given[simplify(name)] for name in own if simplify(name) in given}
    reshaped = [name for name, value in found.items() if value.shape != own[name].shape]
    if missing or reshaped:
        kinds = {"are missing": missing, "have another shape": reshaped}
        text = "; ".join(f"{_some(names)} {kind}" for kind, names in kinds.items() if names)
        raise UserError(
            f"the weights in '{source}' do not fit: of {len(own)} tensors {text}. Use weights of "
            "the same architecture."
        )
    module.load_state_dict(found, strict=False)


def _some(names: list[str]) -> str:
    dots = ", ..." if len(names) > 3 else ""  # noqa: PLR2004  # enough to recognise the model
    return f"{len(names)} ({', '.join(names[:3])}{dots})"


def is_without_memory(module: nn.Module) -> bool:
    """Whether the module is built on the meta device, only to read its shapes."""
    return any(parameter.is_meta for parameter in module.parameters())
